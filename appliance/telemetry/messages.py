"""Every line that a daemon of ours writes to the journal, as data: what it means, what follows, what to do next.

The identifiers are fixed for good: an operator's search (``journalctl MESSAGE_ID=...``) and the catalogue that
``journalctl -x`` shows go by them. New ones come from ``systemd-id128 new``.
"""

import enum
from dataclasses import dataclass


class Level(enum.IntEnum):
    """Syslog priorities that we use."""

    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6


@dataclass(frozen=True, slots=True)
class Message:
    """One kind of line. ``name`` is also that of its section in docs/operations.md, ``id`` 32 hexadecimal digits.

    ``what``, ``impact`` and ``next`` are for the catalogue, where ``@BALANCED_VIP@`` stands for that field of the line.
    ``unsaid`` are fields that are sent beside the text, not in it. A condition's text is whatever is wrong now.
    """

    name: str
    id: str
    level: Level
    text: str
    what: str
    impact: str
    next: str
    unsaid: tuple[str, ...] = ("GENERATION",)


def _condition(name: str, id_: str, what: str, impact: str, next_: str) -> Message:
    return Message(name, id_, Level.WARNING, "", f"@BALANCED_REASON@. {what}", impact, next_, ("REASON",))


# What routers see.
ANNOUNCING = Message(
    "announcing",
    "9ab9aa01a6a94c6b9b81d889f6449b14",
    Level.NOTICE,
    "announcing",
    "Kernel, backends and routes of @BALANCED_VIP@ were read and are as they should be; BIRD is told to announce it.",
    "Routers send new connections for it to this node.",
    "Nothing.",
    ("GENERATION", "FROM", "TO"),
)
WITHDRAWING = Message(
    "withdrawing",
    "ac4cefef5a0c4c89ad520b231b87ef6b",
    Level.WARNING,
    "withdrawing",
    "This node was read not to serve @BALANCED_VIP@: @BALANCED_REASON@. BIRD is told to withdraw it.",
    "Routers send its traffic to the other nodes. It comes back by itself once it is proven again.",
    "See what the reason names. Is it withdrawn on every node, then its backends are not ready: look at the cluster.",
    ("GENERATION", "FROM", "TO"),
)
NOT_ANNOUNCED = Message(
    "not announced",
    "d13ad1314eb2488b9c745749383f53b5",
    Level.INFO,
    "not announced",
    "@BALANCED_VIP@ is not up on this node, for another reason than before: @BALANCED_REASON@.",
    "None that is new: routers did not hear of it from this node before either.",
    "See what the reason names.",
)
ADOPTED = Message(
    "adopted",
    "2dff5b9848424388b62c8280b2cbc2bf",
    Level.INFO,
    "adopted: found announced at start",
    "BIRD announces @BALANCED_VIP@ since a director before this one.",
    "It stays announced until it is proven wrong: a restart moves no traffic.",
    "Nothing.",
)
REMOVED = Message(
    "removed",
    "ce43860d515c427d80205fef2d917a85",
    Level.NOTICE,
    "removed: no service wants it any more",
    "No source wants @BALANCED_VIP@ and BIRD was seen silent about it, so services and address left the kernel.",
    "Connections to it on this node have ended.",
    "Nothing, if its service was meant to go. Otherwise look at the pool, the class and the sources.",
)

# What is found in the kernel.
REPAIRING = Message(
    "repairing",
    "59b4d6fcceae4ceeb1799acf712bf716",
    Level.NOTICE,
    "repairing: the kernel differs from what was put there",
    "Somebody else changed IPVS under an announced VIP: @BALANCED_CHANGE@.",
    "It is put in order in the same pass. What cannot be repaired within a second is withdrawn.",
    "If it goes on, find who else writes to IPVS: kube-proxy, keepalived, a script, a person.",
)
REPAIRING_MANY = Message(
    "repairing many",
    "e53acf8e863743b7baf15bb837f8b6a8",
    Level.NOTICE,
    "repairing: the kernel has lost what was put there",
    "@BALANCED_SERVICES@ services under announced VIPs are not in the kernel as they were put there: a flush, perhaps.",
    "They are built anew. What takes longer than a second is withdrawn and comes back when it is proven.",
    "Find who flushed IPVS: ipvsadm -C in a script, or another load balancer that starts or stops.",
)
REPAIRING_ADDRESS = Message(
    "repairing address",
    "d9dfc6d2f17549e492a679b2d5f9cb19",
    Level.NOTICE,
    "repairing: the address was gone from the link",
    "Somebody took @BALANCED_VIP@ off the link that carries the VIPs.",
    "It is put back in the same pass.",
    "If it goes on, find who changes the link: a network manager that does not leave it alone.",
)
REPAIRING_GUARD = Message(
    "repairing guard",
    "431aa8393191476eae5987b0e1b774a8",
    Level.NOTICE,
    "repairing: the guard of the VIPs was changed",
    "Somebody else changed or removed the nftables table inet balanced: @BALANCED_CHANGE@.",
    "It is put back in the same pass. Until then VIPs let through what they should not, or less than they should.",
    "If it goes on, find what empties nftables: nft -f with flush ruleset, nftables.service, firewalld, a script.",
)

NAMESPACE = Message(
    "namespace put in order",
    "27cf5027c6ac479c9d5769f0ca0e4596",
    Level.NOTICE,
    "namespace put in order",
    "The director's network namespace, or the way into it, lacked @BALANCED_CHANGE@, and has it now.",
    "None at a start. Later, VIPs were cut off for as long as it was missing.",
    "Nothing at a start. Later: find who changes links, addresses or routes, a network manager for one.",
)

# What an operator orders.
DRAINING = Message(
    "draining",
    "cd71428d1d624c5d977ca7aabd94ece7",
    Level.NOTICE,
    "draining",
    "@BALANCED_WHO@ gave the order to drain @BALANCED_VIP@ (the whole node where no VIP is named).",
    "Routers are asked to use other nodes; when no new connection comes any more the routes are withdrawn.",
    "balanced undrain, when the work is done. The order outlasts restarts and reboots.",
)
STILL_DRAINED = Message(
    "still drained",
    "bdc8d62641f14e9eaa1ff3a3c2f850d0",
    Level.WARNING,
    "still drained, by an order from before the start",
    "The director started and found an order to drain: @BALANCED_REASON@.",
    "What is drained is not announced here.",
    "balanced undrain, if the work is done.",
)
UNDRAINED = Message(
    "undrained",
    "22ebd5fd8a524847bdcb2cf2ee8a7c05",
    Level.NOTICE,
    "undrained",
    "@BALANCED_WHO@ lifted the order to drain @BALANCED_VIP@ (all orders where no VIP is named).",
    "What can be proven is announced again.",
    "Nothing.",
)
CONFIRMED = Message(
    "confirmed",
    "e9da4f9ea085487b846e8d94fad6e767",
    Level.NOTICE,
    "confirmed: what was withheld is obeyed",
    "@BALANCED_WHO@ said that the loss which the brake withheld is meant.",
    "@BALANCED_VIPS@ VIPs go, as the source says.",
    "Nothing.",
)
DRAIN_FLAG_DAMAGED = Message(
    "drain flag damaged",
    "981b3fd2b0e449ecbe0d4782be7ea4d9",
    Level.ERROR,
    "the drain flag is damaged, so this node counts as drained",
    "The file that keeps the orders to drain cannot be understood: @BALANCED_REASON@.",
    "Somebody had drained something here. The whole node stays withdrawn until a person says otherwise.",
    "Look at the file that was set aside, then balanced undrain.",
)
BACKEND_FAILING = Message(
    "backend failing",
    "141613ee330f4903b3ce9daf7d9c8c2d",
    Level.WARNING,
    "fails its probes",
    "Probes to @BALANCED_SERVICE@ at @BALANCED_BACKEND@ failed several times in a row: @BALANCED_REASON@.",
    "It gets no new connections from this node until it answers again. A VIP without another is withdrawn here.",
    "On that server: ss -ltn, ip address show dev tunl0, its packet filter; then the way there and back.",
)
BACKEND_WELL = Message(
    "backend well",
    "28d94987727c4a22b90172eedc9e5369",
    Level.NOTICE,
    "answers its probes again",
    "@BALANCED_SERVICE@ at @BALANCED_BACKEND@ answers its probes again.",
    "It gets new connections again where its source calls it ready.",
    "Nothing.",
)

# The director itself.
STARTING = Message(
    "director starting",
    "bbef24a375724e45b832b3301253e7e8",
    Level.NOTICE,
    "director starting",
    "The director starts on @BALANCED_NODE@, version @BALANCED_VERSION@, configured by @BALANCED_CONFIG@.",
    "It adopts what stands: routes and connections do not notice.",
    "Nothing.",
)
STATE_UNKNOWN = Message(
    "no state yet",
    "048ff34559b646a392fee3a2eb7912eb",
    Level.NOTICE,
    "no state yet: the director is starting",
    "SIGUSR1 asked for the state before there is any.",
    "None.",
    "Ask again in a moment.",
)
STATE = Message(
    "state",
    "a5fb729b0c0d417b9412b3fc74fcfb89",
    Level.NOTICE,
    "",
    "SIGUSR1 asked for the state of the director; these lines have it.",
    "None.",
    "balanced status prints the same.",
)
LEFT = Message(
    "left",
    "575bdc3ba74448a38b7f15e35fce9e02",
    Level.NOTICE,
    "on stop",
    "The director is being stopped and did with its routes what director.on_stop says: @BALANCED_REASON@.",
    "deprefer: routers use other nodes while there are any. withdraw: the routes are gone. hold: they stay.",
    "Nothing: a director that starts puts it right as soon as it has proven what stands.",
)
NOT_LEFT = Message(
    "on stop failed",
    "21c8e226884f4618927ebca07de9b077",
    Level.ERROR,
    "on stop: BIRD could not be told",
    "The director is being stopped and could not do what director.on_stop says: @BALANCED_REASON@.",
    "Routes stay as they are, and nobody watches over them.",
    "systemctl status bird; to take the node out by hand: systemctl stop bird.",
)
STOPPED = Message(
    "director stopped",
    "5f94e8dc01ec4a53b7a7bc84be65df67",
    Level.NOTICE,
    "director stopped; VIPs and services stay as they are",
    "The director ended because it was told to.",
    "Nobody watches over this node until a director runs again.",
    "Nothing, if it was meant. Otherwise systemctl start balanced-director.",
)
RELOADED = Message(
    "configuration taken anew",
    "bd4515c50a7f4614983e778e1265ed5c",
    Level.NOTICE,
    "configuration taken anew",
    "A reload took over @BALANCED_CONFIG@.",
    "The new configuration is in force; what stands was adopted.",
    "Nothing.",
)
RELOAD_REFUSED = Message(
    "configuration refused",
    "922eb11e28d348509278c7792d20a755",
    Level.ERROR,
    "configuration refused, the old one stays in force",
    "A reload found a mistake: @BALANCED_MISTAKE@.",
    "Nothing changes: the director goes on with the configuration it had. It would not start with the one on disk.",
    "balanced check prints every mistake. Mend the file, then systemctl reload balanced-director.",
)
PASS_GIVEN_UP = Message(
    "pass given up",
    "0e5ab6db20f9425aa4b784c1459b4546",
    Level.ERROR,
    "the pass at hand did not end in time and is given up",
    "The director was to stop or to reload while a pass hung, most likely in BIRD's socket or in the kernel.",
    "A service may be half programmed. The next director repairs it in its first pass.",
    "birdc show status; dmesg | tail. If it happens again, report it.",
)

LOST = Message(
    "director lost",
    "3c14028adcd44ed1b654073975336242",
    Level.WARNING,
    "the director is lost",
    "The director ended again and again, or could not be started, and systemd gave it up.",
    "As director.on_director_lost says: by default its routes stay, marked so that routers use other nodes. Nothing"
    " repairs or withdraws here until a director runs.",
    "journalctl -u balanced-director -b for the reason; then systemctl reset-failed and start balanced-director.",
)

# The host.
MODULE_LOADED = Message(
    "kernel module loaded",
    "00e3221b67ec4759b554793bb6c8813b",
    Level.NOTICE,
    "kernel module loaded",
    "The director had @BALANCED_MODULE@ loaded, since nobody had.",
    "None.",
    "Nothing. /etc/modules-load.d would have it at boot.",
)
SYSCTL_CHANGED = Message(
    "sysctl changed",
    "fe23fe5cefee4bc386eb75bd2ec6fdd6",
    Level.NOTICE,
    "sysctl changed",
    "The director found @BALANCED_SYSCTL@ at @BALANCED_FROM@ and set it to @BALANCED_TO@.",
    "It stays so after the director ends; host-changes.json in the state directory has the old value.",
    "Nothing at a start: /etc/sysctl.d would have it at boot. Later: find who changed it.",
)
HOST_PROBLEM = Message(
    "host problem",
    "5ee7265426504370b5f6d0cc9cae78a1",
    Level.ERROR,
    "host not as it should be",
    "Something that the director wants of this host cannot be had: @BALANCED_PROBLEM@.",
    "Services that need it are not served here, or with the drawback that the problem names. Others are.",
    "Do what stands in brackets behind the problem, then systemctl restart balanced-director.",
)
HOST_UNRECORDED = Message(
    "host changes not kept",
    "a13603fbc34d413eb0b4554fc5484d56",
    Level.ERROR,
    "host changes not kept, only told above",
    "Settings of this host were changed, and the old values could not be kept: @BALANCED_REASON@.",
    "None on serving. The old values stand in the journal only.",
    "df -h and ls -ld of the state directory.",
)

# Sources, and what is kept of them.
SOURCE_NOTE = Message(
    "source note",
    "eef2e51182d44622ac5738bade534035",
    Level.NOTICE,
    "",
    "Source @BALANCED_SOURCE@ found something in its cluster that an operator may want to know.",
    "The line says it.",
    "Nothing, unless the line says so.",
)
REFUSED = Message(
    "refused",
    "a66ee42a655b4efeadc753510b12e869",
    Level.NOTICE,
    "refused",
    "Part of a Service in a cluster is not taken as it is written: @BALANCED_REASON@.",
    "That part is not served, or is served with a default; all else is. The node is not degraded by it.",
    "Nothing here: an Event tells the owner of the Service. balanced status lists what is refused now.",
)
SNAPSHOT_UNUSED = Message(
    "snapshot not used",
    "1090f5b80ebb4697b904fead2976f4e5",
    Level.WARNING,
    "snapshot not used",
    "The state kept on disk, or a source's part of it, cannot stand in after this start: @BALANCED_REASON@.",
    "None while the sources can be heard. With a silent source the VIPs that it wanted are not announced after a boot.",
    "Nothing after a change of pools or sources, or an upgrade. A damaged file is set aside as *.bad: see the disk.",
)
SNAPSHOT_GIVEN_UP = Message(
    "snapshot given up",
    "e3deebebb8824a6eac7c166abdb9dda1",
    Level.ERROR,
    "the disk takes no snapshot",
    "The director was to stop and the disk did not take its last snapshot within @BALANCED_WITHIN_S@ s.",
    "After a reboot with silent sources an older state is served.",
    "dmesg | tail; df -h of the state directory.",
)

LOSS_OBEYED = Message(
    "loss obeyed",
    "806042764b8a457fbb61e78184e37cf8",
    Level.WARNING,
    "a withheld loss is obeyed",
    "What a list of source @BALANCED_SOURCE@ left out was withheld and is obeyed now: @BALANCED_REASON@.",
    "VIPs that nothing serves any more are withdrawn, then removed.",
    "Nothing, if it was meant. Otherwise look at the source: what it says is what is served.",
)

# Conditions: each stands until it ends, `balanced status` shows those that do.
BIRD = _condition(
    "bird",
    "42036c329cce41bb809fa0ce52d4d55c",
    "BIRD does not answer on its control socket, or refused a command or the file with the VIPs.",
    "BIRD goes on with what it has; nothing can be announced or withdrawn until it answers.",
    "systemctl status bird; birdc show status; birdc configure check; journalctl -u bird -n 50.",
)
BIRD_RIVAL = _condition(
    "bird rival",
    "9487c98990e14fa5a87fc15a884590fc",
    "Somebody else changed in BIRD what the director looks after; it was put right, and changed again in 5 minutes.",
    "What they wanted stands: those VIPs are not announced by this node. A VIP that has to be withdrawn still is.",
    "Find who gives BIRD commands; hand it back with what the text names. To empty a node use balanced drain.",
)
BIRD_CONFIGURATION = _condition(
    "bird configuration",
    "09c0a74445ca412c8610ca0b27ab7ee9",
    "BIRD did not take over the bird.conf that was made from appliance.yaml.",
    "Sessions, filters and BFD are those of before; VIPs go on with them.",
    "birdc configure check; see that BIRD was started with the file of bird.config_path.",
)
ISOLATED = _condition(
    "isolated",
    "04df5d8ad33449119660163409e73a85",
    "BIRD answers, and none of its BGP sessions is established.",
    "No router hears of this node, so it gets no traffic. VIPs stay ready, announced once a session is back.",
    "birdc show protocols all NAME (its last error); birdc show bfd sessions; then the link and the router.",
)
ROUTES = _condition(
    "routes",
    "f14f9c40f9104ab3810f713f037b7900",
    "This node has no route to those subnets.",
    "Backends there count as not ready here; VIPs with too few left are withdrawn from this node.",
    "ip route get ADDRESS_OF_A_BACKEND; ip link. It ends by itself once there is a route.",
)
MTU = _condition(
    "mtu",
    "2bb21bdab2f34497abe886d4a34fb0d6",
    "Packets of full size do not fit the way to backends in those subnets. Small ones do, so all else looks well.",
    "VIPs that are announced stay so, and lose large packets there. Others with backends there are not announced here.",
    "ip route get BACKEND; ip link: raise the MTU. Or lower ipvs.min_path_mtu to what clients are asked for.",
)
OWN_ADDRESS = _condition(
    "own address",
    "49e723e760e042caa600876d213fd012",
    "Those VIPs stand on another link of this node as well: announced, they draw what is meant for this node alone.",
    "They are not announced by this node anew; where they are announced already they stay so.",
    "ip address show; take the address off that link, or another VIP for the service, or another network for the pool.",
)
KUBE_PROXY = _condition(
    "kube-proxy",
    "6588b9ded6b34189946b7dd893a6badb",
    "A kube-proxy in IPVS mode runs on this node and takes VIPs for its own that this node serves.",
    "It puts them on its own link and makes IPVS services for them: they are not announced anew, and fought over.",
    "Keep it off this node; or ipMode: Proxy in the status (ipam.ip_mode) and the pools as its ipvs.excludeCIDRs.",
)
HOST_SETTING = _condition(
    "host setting",
    "85b233a41636498f919c06bef0d2704e",
    "Kernel settings are not as they should be, and the director may not change them or somebody else insists.",
    "A drawback, no outage: balanced doctor says which for each. VIPs are announced.",
    "balanced units /, then systemctl restart systemd-sysctl. Look for another file or program that sets them.",
)
CHECKS = _condition(
    "checks",
    "4fcb9b59dd7c4dbaaa6446ecde886b23",
    "Probes cannot be sent or heard from this node.",
    "Hold: every backend counts as its last probes said, or as its source says.",
    "EPERM: give the unit CAP_NET_RAW, or look for a packet filter on output; ENETUNREACH: ip route get BACKEND.",
)
CHECKS_HELD = _condition(
    "checks held",
    "2c93f235b938414a83034ec4b9ee41f4",
    "Nearly everything fails this node's probes at once, which speaks against the prober.",
    "Hold: backends count as before. What really died meanwhile still gets traffic from this node.",
    "See that answers reach this node's own address: routes, packet filters. If they are dead: balanced confirm.",
)
KERNEL = _condition(
    "kernel",
    "d02a3599f4764c7190058bc1987f7c7f",
    "A step for a service, an address or the link did not work; the next passes try again.",
    "If what stands does not serve, that VIP is withdrawn here.",
    "By the error: ENOENT a missing scheduler (modprobe ip_vs_NAME), ENOMEM memory, EPERM a missing CAP_NET_ADMIN.",
)
KERNEL_READING = _condition(
    "kernel reading",
    "dcac67e67ece458dab6a7a9c3e3c7785",
    "The kernel did not answer, so nothing can be proven.",
    "Hold: what is announced stays announced, nothing is programmed. The next timer tries again.",
    "dmesg | tail; ipvsadm -Ln. After 12 s without any reading the watchdog has systemd start the director anew.",
)
SOURCE = _condition(
    "source",
    "b29ac174dee548848cf9032e5044afde",
    "The source @BALANCED_SOURCE@ cannot be read now.",
    "Hold: its last good state stays in force, and changes, also of readiness, do not arrive.",
    "For files balanced check; for a cluster its API server, network, credentials and RBAC.",
)
SNAPSHOT = _condition(
    "snapshot",
    "3a7a2afdcdba4ff4a88c733bf30dec62",
    "What the sources say cannot be written to the state directory.",
    "None now. After a reboot with silent sources an old state is served, or none.",
    "df -h and ls -ld of the state directory; it is tried again every 30 s.",
)
BRAKE = _condition(
    "brake",
    "ee24896bdfce4c3f86acfda0dd946a8b",
    "A list of source @BALANCED_SOURCE@ lacks so much that it may be wrong.",
    "Hold: what it lacks stays as it was and as announced as it was; everything else that it says applies.",
    "If it is meant: balanced confirm. Otherwise mend the source; what it names again is in force at once.",
)
FIGHT = _condition(
    "fight",
    "198aa800467c4361a838a4ca851f9f10",
    "Somebody undoes again and again what the director puts into the kernel.",
    "It is repaired at growing intervals, up to a minute; its VIPs are withdrawn until a repair has held for 10 s.",
    "Find and stop the other writer: ip link show kube-ipvs0; pgrep -a 'kube-proxy|keepalived'; cron jobs; people.",
)
GUARD = _condition(
    "guard",
    "005285045ced4d54942c9e7700b8d9b2",
    "The nftables table that guards the VIPs cannot be read or put in force.",
    "A VIP that is not guarded as it should be is withdrawn from this node, or not announced.",
    "apt-get install libnftables1; modprobe nf_tables; nft list table inet balanced. Or guard.enabled: false.",
)
GUARD_FIGHT = _condition(
    "guard fight",
    "2accbaae5c4c4d0d84b2963606ad91de",
    "Somebody undoes the guard of the VIPs again and again.",
    "It is repaired at growing intervals, up to a minute; in a fight all VIPs of this node are withdrawn meanwhile.",
    "grep -rs 'flush ruleset' /etc; systemctl status nftables firewalld; nft monitor shows who changes what, live.",
)
FOREIGN = _condition(
    "foreign service",
    "c64cdf84167d40c496aac115d1382433",
    "IPVS services on VIPs inside our pools stand in the kernel that no director of this node made.",
    "They are left alone. A VIP of which one is in the way is withdrawn from this node; others are served.",
    "ipvsadm -Ln. Stop whoever made them (keepalived, kube-proxy, a script), or delete them: ipvsadm -D.",
)
CLAIMS = _condition(
    "claims",
    "f7bbcdc603e047e1833650271f96d133",
    "The record of the IPVS services that this node's directors made cannot be written.",
    "None now. A restarted director leaves alone, and withdraws, what it has no record of and should change.",
    "df -h and ls -ld of the runtime directory.",
)
EVENTS = _condition(
    "events",
    "70782d5fd1f64540a498bdc5d917a15a",
    "The cluster does not take Events.",
    "None on serving: owners of Services do not see there what happens to them.",
    "For 403: balanced manifests director | kubectl apply -f -. Or events: false below sources.kubernetes.",
)
DESIRED_STATE = _condition(
    "desired state",
    "aafb39bc3b9a489c9cf933cd148d0b5e",
    "Part of what the sources want is refused.",
    "The refused services are not served; all others are.",
    "balanced status names place, value and remedy of each.",
)
DRAIN_CLOCK = _condition(
    "drain clock",
    "08d8f1e5f3fa4fabb73c97aa07f258e7",
    "The file of the draining destinations cannot be written.",
    "None now. A restarted director would drain them from the beginning.",
    "df -h and ls -ld of the runtime directory.",
)
DRAIN_FLAG = _condition(
    "drain flag",
    "51084e2d65ba467fbad83b4724217bb3",
    "The order to drain, or to end it, cannot be kept on disk.",
    "It is in force; a restarted director would go by the orders that are on disk.",
    "df -h and ls -ld of the state directory, then give the order again.",
)
LAST_WILL_UNWRITTEN = _condition(
    "last will",
    "d22a9dee294e4b2ba905fac8f524d033",
    "What is to become of the routes without a director could not be written down.",
    "None now. If the director is lost for good, its routes stay as they are or go by what was written before.",
    "df -h and ls -ld of the runtime directory.",
)
COUNTERS = _condition(
    "counters",
    "a71fe31bc35b4bb2b0a0a51e14cd815a",
    "The counters of IPVS cannot be read.",
    "Metrics have none of the kernel's figures. Serving goes on.",
    "dmesg | tail; ipvsadm -Ln --stats.",
)
# What the tunnel agent of a worker says.
TUNNEL_VIP_ADDED = Message(
    "tunnel vip added",
    "8aba15afd9154d24ad7d3c7f3734f7e6",
    Level.INFO,
    "VIP added to the pod's tunnel",
    "@BALANCED_POD@ answers for @BALANCED_VIP@ now: a Service names it as an endpoint.",
    "Directors can send to it.",
    "Nothing.",
)
TUNNEL_VIP_REMOVED = Message(
    "tunnel vip removed",
    "c76174fd07e04aec95aea2b5dd1768c2",
    Level.INFO,
    "VIP removed from the pod's tunnel",
    "No Service has named @BALANCED_POD@ as an endpoint behind @BALANCED_VIP@ for agent.linger_s.",
    "Connections to the VIP that the pod still had have ended.",
    "Nothing, if that was meant.",
)
TUNNEL_REPAIRED = Message(
    "tunnel repaired",
    "1ca38f5ef97247bdbfcfff4e5754dc5e",
    Level.NOTICE,
    "put right in the pod: somebody else had changed it",
    "Something in the network namespace of @BALANCED_POD@ was not as it was left: @BALANCED_CHANGE@.",
    "It stands again.",
    "If it goes on, find who changes it: a sidecar, an init container with iptables-restore, a person.",
)
TUNNEL_LEFT_ALONE = Message(
    "tunnel left alone",
    "98eaefc7e99b442c9da7cc7199647ace",
    Level.NOTICE,
    "left alone, though a Service wants it",
    "@BALANCED_POD@ is an endpoint of a Service with a VIP and cannot get it: @BALANCED_WHY@.",
    "What directors send to it for that VIP is lost.",
    "Change the pod or the Service, as the reason says; an Event on the pod tells its owner.",
)
TUNNEL_STARTED = Message(
    "tunnel agent started",
    "066575dd0dec4b4aa5df5816d90e8c92",
    Level.INFO,
    "tunnel agent starting",
    "The tunnel agent of this node starts; @BALANCED_FIREWALL@ holds its rules in pods.",
    "What stands in pods is taken over.",
    "Nothing.",
)
TUNNEL_STOPPED = Message(
    "tunnel agent stopped",
    "7f0c58c8cc1c4570a4c7deb4453ff09a",
    Level.INFO,
    "tunnel agent stopped; everything stays as it is",
    "The tunnel agent of this node was told to stop.",
    "Pods keep their VIPs. Pods that come now get none, and stay unready where they wait for them.",
    "Start it again.",
)
TUNNEL_SOURCE = _condition(
    "tunnel source",
    "df4e50c08ab7486ab4225afadde58bb7",
    "The API server tells the tunnel agent nothing at the moment.",
    "Pods keep what they have. New pods and new VIPs wait.",
    "See that the API server answers, and the account of the agent: balanced manifests tunnel.",
)
TUNNEL_BRAKE = _condition(
    "tunnel brake",
    "4b1d7c0a2e5f4d38a6c9910f7be352d4",
    "A list of the API server lacks most Services with a VIP, or all of their endpoints.",
    "Pods keep their VIPs until the list has said so for agent.confirm_after_s; what is new in it is obeyed.",
    "kubectl get services,endpointslices -A. If it is meant, wait.",
)
TUNNEL_WRITER = _condition(
    "tunnel writer",
    "ddc2b6329d3f428c9f2431bf3ffd54b9",
    "The API server does not take what the tunnel agent writes.",
    "Without conditions, pods with the readiness gate do not become ready; Events are lost, which costs nothing else.",
    "For 403: balanced manifests tunnel | kubectl apply -f -.",
)
TUNNEL_RUNTIME = _condition(
    "tunnel runtime",
    "e44733ed5b2a43baa5f68a07f94f314c",
    "A container runtime does not say where containers run, and the control groups do not tell either.",
    "New containers on this node wait for their VIPs; those that have them keep them.",
    "systemctl status containerd (crio, docker); see runtimes in tunnel.yaml, and that the socket is mounted.",
)
TUNNEL_CONTAINER = _condition(
    "tunnel container",
    "93f34ffc12194546abab2149dbfbaab3",
    "The API server says that a container runs, and its runtime knows none, for several seconds.",
    "That pod has no VIPs.",
    "crictl ps; kubectl get pod -o wide. A kubelet that does not report is the usual cause.",
)
TUNNEL_REFUSED = _condition(
    "tunnel refused",
    "d7a170c081e1406aa851b2f2d66d8794",
    "The kernel refuses part of the tunnel in pods of this node.",
    "These pods are marked as not ready (tunnel-ready False); what directors send to them is lost.",
    "As the text says: a module, a capability, another program in the pod. Retried at growing intervals.",
)
# What the allocator does (balanced ipam).
ALLOCATOR_STARTING = Message(
    "allocator starting",
    "d3abbc65d2254748b18399e95e08379b",
    Level.NOTICE,
    "allocator starting",
    "The allocator @BALANCED_NODE@ starts, version @BALANCED_VERSION@, configured by @BALANCED_CONFIG@.",
    "It stands by until it leads. Addresses that were given stay.",
    "Nothing.",
)
ALLOCATOR_STOPPED = Message(
    "allocator stopped",
    "def729159b3a40fdb2c9f5ae81f1d82a",
    Level.NOTICE,
    "allocator stopped",
    "The allocator @BALANCED_NODE@ was told to stop.",
    "Another one leads within seconds. Addresses that were given stay.",
    "Nothing.",
)
LEADING = Message(
    "leading",
    "9c39ee6326fe4c5f8f29386c02419b72",
    Level.NOTICE,
    "leading",
    "This allocator, @BALANCED_NODE@, holds the Lease @BALANCED_LEASE@.",
    "It lists all Services, reads what they hold, and gives addresses from now on.",
    "Nothing.",
)
LEADING_NO_MORE = Message(
    "leading no more",
    "101cd5ef62be4014bd565d725025629a",
    Level.NOTICE,
    "leading no more",
    "This allocator could not renew the Lease @BALANCED_LEASE@ in time, or another one has it.",
    "It writes nothing any more; whoever leads next goes on.",
    "If leaders change often: kubectl get lease -n NAMESPACE NAME -w; look at the API server's latency.",
)
ALLOCATED = Message(
    "address given",
    "667d434e49aa4f61a9544ff8507e2345",
    Level.INFO,
    "address given",
    "The Service @BALANCED_SERVICE@ held @BALANCED_FROM@ and holds @BALANCED_TO@ now.",
    "Directors serve it there once they hear of it.",
    "Nothing.",
)
ALLOCATION_REFUSED = Message(
    "address refused",
    "15c333a99c4943cf870f462fd3a8ada5",
    Level.INFO,
    "address refused",
    "The Service @BALANCED_SERVICE@ does not get what it asks for: @BALANCED_PROBLEM@.",
    "It waits, or keeps what it holds. It is tried again when it changes and when an address becomes free.",
    "See what the line names; balanced ipam report shows how full the pools are.",
)
ALLOCATOR_SOURCE = _condition(
    "allocator cluster",
    "d587650107084787ad46265e2762b076",
    "The Services of the cluster cannot be heard.",
    "Addresses that were given stay; new Services wait.",
    "As the text says; for 403: balanced manifests ipam | kubectl apply -f -.",
)
ALLOCATOR_LEASE = _condition(
    "allocator lease",
    "b94f3ec0cb0142e79e2645f3ed86ee1e",
    "The Lease cannot be read or written.",
    "This allocator does not lead, or not for much longer. Addresses that were given stay.",
    "As the text says; for 403: balanced manifests ipam | kubectl apply -f -.",
)
ALLOCATOR_WRITES = _condition(
    "allocator writes",
    "03009a2e664a4b84ab7e0afd47634d0f",
    "The status of a Service cannot be written.",
    "The Service named has not the address that was meant for it. It is tried again, others go on.",
    "As the text says: a webhook may refuse it; for 403: balanced manifests ipam | kubectl apply -f -.",
)

# Which slot a node starts from (balanced assess).
SLOT_PROVEN = Message(
    "slot proven",
    "ebe10c18861e4317a58ba31a7a65f028",
    Level.NOTICE,
    "slot proven",
    "What runs from slot @BALANCED_SLOT@, version @BALANCED_VERSION@, has passed balanced doctor, its director ready.",
    "The node starts from this slot from now on. A drain that balanced update had ordered ends.",
    "Nothing.",
)
SLOT_NOT_PROVEN = Message(
    "slot not proven",
    "3672cb5646464952ad31850e9d9810a2",
    Level.ERROR,
    "slot not proven in time",
    "What runs from slot @BALANCED_SLOT@ did not prove itself: @BALANCED_REASON@.",
    "A slot on trial restarts the node: another try, or after the last one the slot of before. It stays drained.",
    "See what the reason names; journalctl -b -1 shows that start afterwards.",
)
SLOT_GIVEN_UP = Message(
    "slot given up",
    "ef5d1515d20c4bc5bb5c0d7437fad282",
    Level.WARNING,
    "slot given up: it did not start, did not prove itself, or is not whole",
    "Slot @BALANCED_FAILED@ was to be tried or was being written. The node runs from slot @BALANCED_SLOT@.",
    "None on serving from this slot; but if the node was drained for the update, it still is.",
    "journalctl --list-boots, then -b of that start, if it came so far. Then balanced undrain, or another update.",
)

ENDED = Message(
    "condition ended",
    "6fd7c3d0c7eb40f19c4cbaf24fe1b0de",
    Level.NOTICE,
    "well again",
    "The condition @BALANCED_CONDITION@ ended.",
    "What it stood in the way of goes on.",
    "Nothing.",
)

MESSAGES: tuple[Message, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Message))
"""All of them, in the order of this file."""

CONDITIONS: tuple[Message, ...] = tuple(each for each in MESSAGES if "REASON" in each.unsaid)
"""Those that stand for a while."""
