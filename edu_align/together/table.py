"""The stacked passes of one meeting: which runs are in them, and what each gets of the result."""

from typing import Any

from edu_align.together.host import Conditions, Host
from edu_align.together.layers import Slice

Asker = tuple[Any, str | None, dict[str, Any], Conditions]  # seat, active adapter, arguments of the decoder, conditions


class Table:
    """`bases` holds the loaded base models by what the runs on them share; each gets one `Host`."""

    def __init__(self, bases: dict[str, Any]) -> None:
        self.bases = bases
        self.hosts: dict[str, Host] = {}

    def forward(self, askers: list[Asker]) -> list[Any]:
        """The decoder's output for each asker. All have equal arguments and conditions; the base is computed once."""
        first, _, options, conditions = askers[0]
        host = self._host(first)
        for seat, *_ in askers:
            host.add(seat.number, seat.model)
        slices = [_slice(asker) for asker in askers]
        distinct = list(dict.fromkeys(slices))
        asked, computed = host.sharing.asked, host.sharing.computed
        results = dict(zip(distinct, host.forward(distinct, first.backbone, options, conditions), strict=True))
        for seat, *_ in askers:
            seat.sharing.asked += (host.sharing.asked - asked) // len(distinct)
            seat.sharing.computed += (host.sharing.computed - computed) // len(distinct)
        return [results[key] for key in slices]

    def backward(self) -> None:
        for host in self.hosts.values():
            host.backward()

    def _host(self, seat: Any) -> Host:
        if seat.key not in self.hosts:
            self.hosts[seat.key] = Host(self.bases[seat.key], seat.model, seat.backend)
        return self.hosts[seat.key]


def _slice(asker: Asker) -> Slice:
    seat, adapter, *_ = asker
    return (-1, None) if adapter is None else (seat.number, adapter)
