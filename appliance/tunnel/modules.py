"""What the kernel of a worker has to have for tunnels to end in its pods."""

MODULES = ("ipip", "ip6_tunnel", "fou", "fou6")
LEGACY_FIREWALL = ("iptable_mangle", "iptable_filter", "ip6table_mangle", "ip6table_filter")
