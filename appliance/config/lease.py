"""The section of the allocators' Lease."""

from __future__ import annotations

from typing import Self

from pydantic import Field
from pydantic import model_validator as validator

from appliance.config.fields import Int, Mistake, Namespace, Seconds, refuse_all
from appliance.config.section import Section


class Lease(Section):
    """The Lease by which one of the allocators leads; the others stand by."""

    namespace: Namespace = "kube-system"
    """Namespace of the Lease. Default kube-system."""

    name: Namespace = "balanced-ipam"
    """Name of the Lease, the same for all allocators of one cluster. Default balanced-ipam."""

    duration_s: Int = Field(default=15, ge=2, le=300)
    """Seconds after which others take over from a leader that says nothing. Default 15, as in Kubernetes itself."""

    renew_within_s: Seconds = Field(default=10.0, ge=0.5, le=290)
    """Seconds since it last renewed the Lease after which a leader writes no more, below duration_s. Default 10."""

    retry_s: Seconds = Field(default=2.0, ge=0.1, le=60)
    """Seconds between two attempts to renew or to take the Lease; less than half of renew_within_s. Default 2."""

    @validator(mode="after")
    def _ordered(self) -> Self:
        mistakes = []
        if self.renew_within_s >= self.duration_s:
            what = f"{self.renew_within_s:g} is not below duration_s, {self.duration_s}"
            remedy = "lower it, or raise duration_s; the time between the two keeps two leaders apart"
            mistakes.append(Mistake(("renew_within_s",), what, remedy))
        if self.retry_s * 2 >= self.renew_within_s:
            what = f"{self.retry_s:g} is not below half of renew_within_s, {self.renew_within_s:g}"
            mistakes.append(Mistake(("retry_s",), what, "lower it; one attempt that fails must not end a leadership"))
        refuse_all(mistakes)
        return self
