"""``balanced manifests``: what has to stand in a cluster, to be read and applied by whoever may; nothing is applied."""

from collections.abc import Sequence

import click

from appliance.manifests.ipam import render_ipam
from appliance.manifests.render import render_director
from appliance.manifests.tunnel import render_tunnel


@click.group()
def command() -> None:
    """Print Kubernetes objects, to be applied with kubectl apply -f -."""


@command.command()
@click.option("--name", default="balanced-director", show_default=True, help="Name of all the objects.")
@click.option("--namespace", default="kube-system", show_default=True, help="Namespace of the ServiceAccount.")
def director(name: str, namespace: str) -> None:
    """Print the account of the directors: ServiceAccount, ClusterRole, ClusterRoleBinding.

    It may read Services and their endpoints, and create and patch Events. Nothing else.
    """
    click.echo(render_director(name, namespace), nl=False)


@command.command()
@click.option("--name", default="balanced-ipam", show_default=True, help="Name of all the objects, and of the Lease.")
@click.option("--namespace", default="kube-system", show_default=True, help="Namespace of the allocators.")
@click.option("--image", required=True, help="Image that has the balanced command.")
@click.option(
    "--pool", "pools", multiple=True, required=True, metavar="RANGE", help="CIDR or FIRST-LAST to give; repeatable."
)
@click.option("--namespace-labels", is_flag=True, help="Let them read Namespaces, for pools with a namespace_selector.")
def ipam(name: str, namespace: str, image: str, pools: Sequence[str], *, namespace_labels: bool) -> None:
    """Print the allocators: account, rights, configuration, and a Deployment of two, one of which leads.

    An allocator may read Services, write their status and Events, and hold its Lease. Nothing else.
    """
    text = render_ipam(name, namespace, image=image, pools=pools, namespace_labels=namespace_labels)
    click.echo(text, nl=False)


@command.command()
@click.option("--name", default="balanced-tunnel", show_default=True, help="Name of all the objects.")
@click.option("--namespace", default="kube-system", show_default=True, help="Namespace of the agents.")
@click.option("--image", required=True, help="Image that has the balanced command.")
@click.option("--pool", "pools", multiple=True, required=True, metavar="CIDR", help="Network of VIPs; repeatable.")
@click.option(
    "--director",
    "directors",
    multiple=True,
    metavar="CIDR",
    help="Network of directors; repeatable. Without any, pods take packets in tunnels from everybody.",
)
@click.option("--priority-class", "priority", default="system-node-critical", show_default=True)
def tunnel(  # noqa: PLR0917 - click passes options by name
    name: str, namespace: str, image: str, pools: Sequence[str], directors: Sequence[str], priority: str
) -> None:
    """Print the tunnel agents: account, configuration, and a DaemonSet with one on each node.

    An agent may read Services, endpoints and pods, and write Events and the status of pods. Nothing else.
    """
    text = render_tunnel(name, namespace, image=image, pools=pools, directors=directors, priority=priority)
    click.echo(text, nl=False)
