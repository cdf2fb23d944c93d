"""The faults that the project answers for: what happens, how soon. docs/faults.md is made from this table."""

from dataclasses import dataclass
from typing import Literal

Effect = Literal["withdraw", "de-prefer", "hold", "repair", "refuse", "-"]


@dataclass(frozen=True, slots=True)
class Row:
    """One fault. ``bound`` is in words; ``bound_s`` is the time in seconds that the test measures against it."""

    number: int
    bound_s: float
    effect: Effect
    fault: str
    what: str
    bound: str


_TABLE = (
    Row(1, 10, "hold", "director killed once (SIGKILL, out of memory)",
        "restart adopts, deletes nothing", "back 2 s, reconciled 10 s"),
    Row(2, 15, "hold", "director hangs (stopped, dead loop)",
        "the watchdog ends it, then as 1", "15 s"),
    Row(3, 30, "de-prefer", "director ends again and again (bad release)",
        "by a unit of its own that needs only BIRD's socket", "30 s"),
    Row(4, 1, "de-prefer", "systemctl stop, restart; package upgrade",
        "then it exits; after a restart proof, then normal preference", "1 s"),
    Row(5, 3, "withdraw", "balanced drain",
        "de-prefer, wait, withdraw all; survives restarts; undrain proves",
        "de-prefer 1 s, withdraw settle + 1 s"),
    Row(6, 1, "withdraw", "reboot, power-off",
        "BIRD ends before the network goes; IPVS stands until power-off", "1 s"),
    Row(7, 10, "-", "boot, API silent, no state on disk",
        "announces nothing, says what it waits for", "-"),
    Row(8, 15, "hold", "boot, API silent, state on disk",
        "after cold_start_grace_s: program, prove, announce; degraded", "grace + 5 s"),
    Row(9, 30, "hold", "API gone, DNS dead, 429, 5xx, time-outs",
        "status degraded, alarm", "alarm 30 s"),
    Row(10, 5, "hold", "watch 410 Gone (HTTP status or ERROR event)",
        "until the new list is complete, then only real differences", "5 s after the API answers"),
    Row(11, 35, "hold", "watch half-open, silent",
        "found and made anew", "watch_timeout_s + 30 s"),
    Row(12, 1, "hold", "list suddenly empty or short of most VIPs",
        "alarm, until it has lasted or is confirmed; single deletions obey", "alarm 1 s"),
    Row(13, 60, "hold", "401, 403, token or CA rotated",
        "credentials are read again", "60 s"),
    Row(14, 1, "hold", "malformed object",
        "it alone is ignored or keeps its last good state; one Event and one line from each director", "1 s"),
    Row(15, 1, "refuse", "hostile strings, VIP outside the pools, VIP:port taken twice",
        "the owner keeps it; no foreign byte reaches BIRD", "1 s"),
    Row(16, 60, "hold", "10,000 Services arrive",
        "VIPs that stand are undisturbed, at most one configure a second", "60 s"),
    Row(17, 5, "hold", "1,000 events a second for 10 minutes",
        "lag bounded, memory flat", "lag 5 s"),
    Row(18, 1, "withdraw", "one VIP flaps at 10 Hz",
        "at once; announcing again is damped (1, 2, 4 ... 60 s); others untouched",
        "6 updates a minute; at another pace 12 in the first one"),
    Row(19, 1, "withdraw", "all backends of a VIP gone",
        "that VIP alone", "1 s"),
    Row(20, 1, "hold", "over half of the VIPs fail our own probes within 10 s",
        "the prober is the suspect; alarm", "1 s"),
    Row(21, 5, "-", "ip_vs missing at start",
        "announces nothing; the error names the remedy; BIRD stays up", "5 s"),
    Row(22, 1, "withdraw", "a scheduler's module missing",
        "VIPs that use it; no silent fallback", "1 s"),
    Row(23, 1, "withdraw", "IPVS table flushed (ipvsadm -C)",
        "only what is not rebuilt within 1 s; then proof, announcement", "1 s"),
    Row(24, 5, "repair", "service, destination, weight or flag edited by hand",
        "logged old -> new; withdraw only if it cannot be repaired", "5 s"),
    Row(25, 5, "refuse", "foreign service in the table",
        "never touched, alarm; where ours should stand ours is refused and its VIP withdrawn here", "5 s"),
    Row(26, 1, "withdraw", "an operation fails at k of n (ENOMEM, EINVAL)",
        "that VIP if what stands does not serve; others go on; back-off", "1 s"),
    Row(27, 5, "repair", "EEXIST, ESRCH races",
        "read again, converge", "one pass"),
    Row(28, 10, "hold", "netlink ENOBUFS, short or inconsistent dump",
        "nothing is deleted by one reading", "two passes"),
    Row(29, 1, "repair", "VIP address deleted, dummy link down or deleted",
        "withdraw only if it cannot be repaired", "1 s"),
    Row(30, 5, "-", "one uplink or router lost; all BGP sessions down",
        "BIRD's business; status isolated; BIRD is never restarted", "5 s"),
    Row(31, 2, "withdraw", "BIRD killed",
        "routers drop it by themselves; started anew it has exactly what is wanted", "verified 2 s after start"),
    Row(32, 2, "withdraw", "BIRD stopped by the operator",
        "the director does not start it; status says so", "resume 2 s"),
    Row(33, 5, "withdraw", "BIRD hung",
        "BFD takes the routes; the director stays responsive", "alarm 5 s"),
    Row(34, 1, "hold", "configuration rejected, bird.conf broken",
        "the old set stays; a withdrawal is done by disabling our protocol", "1 s"),
    Row(35, 5, "hold", "BIRD busy with a configuration",
        "deferred, then read back", "5 s"),
    Row(36, 5, "repair", "birdc disable or undo by hand",
        "re-asserted once; in a repeated fight stop and alarm", "5 s"),
    Row(37, 10, "withdraw", "BIRD 2 exchanged for BIRD 3",
        "no more than a restart", "-"),
    Row(38, 2, "hold", "disk full; /run full or read-only",
        "a failed write is told; a withdrawal is done by disabling our protocol", "2 s"),
    Row(39, 5, "hold", "no file descriptors, no forks or threads",
        "recovers; nothing is forked, and every thread was there from the start", "5 s"),
    Row(40, 5, "-", "clock jumps a day",
        "nothing", "0 updates"),
    Row(41, 1, "refuse", "second director started",
        "it exits, the first is untouched", "1 s"),
    Row(42, 10, "hold", "state file corrupt or of a newer version",
        "set aside with a line in the log, made anew", "10 s"),
    Row(43, 10, "de-prefer", "SIGTERM in the middle of programming",
        "no half-programmed VIP is announced", "10 s"),
    Row(45, 10, "hold", "MTU too small for the tunnel",
        "the first announcement is refused; running VIPs stay, alarm", "at start"),
    Row(46, 10, "withdraw", "kube-proxy in IPVS mode deletes our services",
        "found to be a fight; the alarm names kube-proxy", "10 s"),
    Row(47, 1, "hold", "two Services share a VIP, one goes",
        "the VIP and the other's ports stay", "1 s"),
    Row(48, 5, "repair", "a worker's container restarts, namespace vanishes in mid-work, pod goes, runtime dies",
        "the agent tries that pod again; all others go on, also with what is new for them", "5 s"),
)  # fmt: skip
ROWS = {row.number: row for row in _TABLE}
