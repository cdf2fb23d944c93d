"""Numbers and layouts of rtnetlink that several adapters speak, as the kernel's headers have them.

``include/uapi/linux``: ``rtnetlink.h`` (struct rtmsg, RTM_*, RTA_*, RTN_*), ``if_link.h`` (struct ifinfomsg, IFLA_*),
``if_addr.h`` (struct ifaddrmsg, IFA_*), ``if.h`` (IFF_*), ``socket.h`` (AF_*).
"""

import errno
import struct
from typing import Final

RTM_NEWLINK = 16
RTM_GETLINK = 18
RTM_NEWADDR = 20
RTM_DELADDR = 21
RTM_GETADDR = 22
RTM_NEWROUTE = 24
RTM_GETROUTE = 26
IFINFO = struct.Struct("=BxHiII")
IFADDR = struct.Struct("=BBBBI")
RTMSG = struct.Struct("=BBBBBBBBI")
IFF_UP = 0x1
IFLA_IFNAME = 3
IFLA_MTU = 4
IFLA_LINKINFO = 18
IFLA_AF_SPEC = 26
IFLA_INFO_KIND = 1
IFLA_INET6_CONF = 2
IFA_ADDRESS = 1
IFA_LOCAL = 2
IFA_FLAGS = 8
IFA_F_NODAD = 0x02
RTA_DST = 1
RTA_OIF = 4
AF_INET = 2
AF_INET6 = 10
RTN_UNICAST = 1

LOOPBACK_INDEX = 1
"""LOOPBACK_IFINDEX: in every network namespace the loopback is the first link."""

UNREACHABLE: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL})
"""What a look-up answers when there is no route, and for routes of type unreachable, prohibit and blackhole."""
