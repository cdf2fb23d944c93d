"""What the kernel of a worker has to have for tunnels to end in its pods."""

MODULES = ("ipip", "ip6_tunnel", "fou", "fou6")
