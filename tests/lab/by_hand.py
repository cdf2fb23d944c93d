"""A director made with the operator's own tools, without our daemon: it proves the lab."""

from tests.lab.hosts import wait_until
from tests.lab.topology import DIRECTOR_AS, ROUTER_AS, Director, Lab

VIP4, VIP6 = "10.50.0.1", "2001:db8:50::1"
VIPS = (VIP4, VIP6)


def director_config(director: Director) -> str:
    link = director.link
    return f"""\
log stderr all;
router id {link.host4};
protocol device {{ }}
protocol static vips4 {{ ipv4; route {VIP4}/32 blackhole; }}
protocol static vips6 {{ ipv6; route {VIP6}/128 blackhole; }}
protocol bgp uplink {{
  local as {DIRECTOR_AS};
  neighbor {link.router4} as {ROUTER_AS};
  connect delay time 1;
  ipv4 {{ import none; export all; }};
  ipv6 {{ import none; export all; }};
}}
"""


def program_by_hand(director: Director, lab: Lab, forwarding: str = "-i") -> None:
    """VIPs on a dummy link, and the table."""
    director.ip("link add vips type dummy", "link set vips up", *(f"addr add {vip} dev vips" for vip in VIPS))
    program_table(director, lab, forwarding)


def program_table(director: Director, lab: Lab, forwarding: str = "-i") -> None:
    """TCP and UDP port 80 of both VIPs over all servers with mh, through IPIP unless another option is said."""
    rules: list[str] = []
    for vip, shown in ((VIP4, VIP4), (VIP6, f"[{VIP6}]")):
        for protocol in ("-t", "-u"):
            rules.append(f"-A {protocol} {shown}:80 -s mh -b mh-fallback,mh-port")
            for server in lab.servers:
                address = server.address4 if vip == VIP4 else f"[{server.address6}]"
                rules.append(f"-a {protocol} {shown}:80 -r {address}:80 {forwarding} -w 1")
    director.run(["ipvsadm", "-R"], stdin="\n".join(rules))


def wait_for_routes(lab: Lab, vip: str, directors: set[str]) -> None:
    wait_until(lambda: lab.router.routes_to(vip) == directors, 15, f"routes to {vip} through {directors}")


def bring_up(lab: Lab) -> None:
    lab.serve(*VIPS)
    for director in lab.directors:
        program_by_hand(director, lab)
        director.start_bird(director_config(director))
    for vip in VIPS:
        wait_for_routes(lab, vip, {"director1", "director2"})
