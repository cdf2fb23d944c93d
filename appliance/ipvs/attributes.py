"""Numbers of the IPVS generic-netlink family, named as in ``include/uapi/linux/ip_vs.h`` without the prefix."""

import enum

FAMILY_NAME = "IPVS"
FAMILY_VERSION = 1

AF_INET = 2
AF_INET6 = 10


class Command(enum.IntEnum):
    """IPVS_CMD_*."""

    NEW_SERVICE = 1
    SET_SERVICE = 2
    DEL_SERVICE = 3
    GET_SERVICE = 4
    NEW_DEST = 5
    SET_DEST = 6
    DEL_DEST = 7
    GET_DEST = 8
    GET_INFO = 15


class Top(enum.IntEnum):
    """IPVS_CMD_ATTR_*: what stands at the top of a message."""

    SERVICE = 1
    DEST = 2


class Service(enum.IntEnum):
    """IPVS_SVC_ATTR_*."""

    AF = 1
    PROTOCOL = 2
    ADDR = 3
    PORT = 4
    FWMARK = 5
    SCHED_NAME = 6
    FLAGS = 7
    TIMEOUT = 8
    NETMASK = 9
    STATS = 10
    PE_NAME = 11
    STATS64 = 12


class Dest(enum.IntEnum):
    """IPVS_DEST_ATTR_*."""

    ADDR = 1
    PORT = 2
    FWD_METHOD = 3
    WEIGHT = 4
    U_THRESH = 5
    L_THRESH = 6
    ACTIVE_CONNS = 7
    INACT_CONNS = 8
    PERSIST_CONNS = 9
    STATS = 10
    ADDR_FAMILY = 11
    STATS64 = 12
    TUN_TYPE = 13
    TUN_PORT = 14
    TUN_FLAGS = 15


class Stats(enum.IntEnum):
    """IPVS_STATS_ATTR_*; in the STATS64 nests every value is 64 bits wide."""

    CONNS = 1
    INPKTS = 2
    OUTPKTS = 3
    INBYTES = 4
    OUTBYTES = 5
    CPS = 6
    INPPS = 7
    OUTPPS = 8
    INBPS = 9
    OUTBPS = 10


class Info(enum.IntEnum):
    """IPVS_INFO_ATTR_*."""

    VERSION = 1
    CONN_TAB_SIZE = 2


class Control(enum.IntEnum):
    """Of the family of families (``include/uapi/linux/genetlink.h``): GENL_ID_CTRL, CTRL_CMD_*, CTRL_ATTR_*."""

    TYPE = 16
    GETFAMILY = 3
    ATTR_FAMILY_ID = 1
    ATTR_FAMILY_NAME = 2


SVC_F_HASHED = 0x2
"""The kernel's own mark. A new service that carries it is never put into the table (ip_vs_svc_hash), so the mask of
flags that we change must leave it out."""
