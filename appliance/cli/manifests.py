"""``balanced manifests``: what has to stand in a cluster, to be read and applied by whoever may; nothing is applied."""

import click

from appliance.manifests.render import render_director


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
