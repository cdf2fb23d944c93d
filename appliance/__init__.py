"""BalanceD appliance: a stateless Layer-4 load balancer node."""

__version__ = "0.1.0"
