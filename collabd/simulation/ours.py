"""collabd as a policy: its own estimates, prediction and choice, fed by the simulation."""

from __future__ import annotations

from collabd.config import DeviceConfig
from collabd.planning import Caps, CloudState, DeviceState, Request, local_start_s, predict
from collabd.planning.choose import Stickiness
from collabd.planning.chooser import Chooser
from collabd.sensing.link import LinkEstimate, next_probe_s
from collabd.sensing.power import BoardPower
from collabd.sensing.speed import SpeedFactor
from collabd.simulation.replay import Choice
from collabd.simulation.workload import Workload
from collabd.simulation.world import Exchange, Outcome


class Ours:
    """What the daemon does with one model and one companion, without the daemon."""

    def __init__(self, workload: Workload, config: DeviceConfig, caps: Caps, power: BoardPower) -> None:
        self._workload = workload
        self._config = config
        self._caps = caps
        self._power = power
        planning = config.planning
        self._chooser = Chooser(Stickiness(planning.switch_gain_ms / 1e3, planning.switch_gain_ratio))
        self._link = LinkEstimate(config.link.memory)
        self._device = SpeedFactor(workload.slowdown)
        self._cloud = SpeedFactor()

    def choose(self, _: int, now: float) -> Choice:
        """The daemon's choice."""
        cloud = self._cloud_state(now)
        prediction = predict(
            self._workload.plans,
            self._device_state(),
            [cloud],
            Request(self._workload.prep_s * self._workload.slowdown, (0.0,), None),
            self._config.planning.deadline_quantile,
        )
        decision = self._chooser.choose("call", self._workload.plans, prediction, self._caps)
        plan = self._workload.plans.rows[decision.row]
        wait_s = float((prediction.link_s + prediction.decode_s + prediction.tail_s)[decision.row])
        failover = self._config.failover
        patience_s = local_start_s(
            deadline_s=None,
            local_tail_s=plan.local_tail_s * self._device.value,
            predicted_wait_s=wait_s,
            patience=failover.patience,
            floor_s=failover.patience_floor_ms / 1e3,
        )
        return Choice(plan, patience_s)

    def learn(self, outcome: Outcome) -> None:
        """As the daemon does of a call."""
        plan = outcome.plan
        self._device.learn(measured_s=outcome.head_s, profiled_s=plan.head_s)
        if outcome.local_tail_s is not None:
            self._device.learn(measured_s=outcome.local_tail_s, profiled_s=plan.local_tail_s)
        if outcome.exchange is not None:
            if not outcome.late:
                self._cloud.learn(measured_s=outcome.tail_s, profiled_s=plan.decode_s + plan.tail_s)
            self._learn_link(outcome.exchange, outcome.link_s)

    def probe_due(self, now: float) -> tuple[float, int] | None:
        """As the daemon's watcher does."""
        link = self._config.link
        size = link.probe_kb * 1000
        due = next_probe_s(self._link.read(now), probe_bytes=size, stale_s=link.stale_s, share=link.probe_share)
        return now + due, size

    def learn_probe(self, probe: Exchange) -> None:
        """As the daemon does of a ping."""
        self._learn_link(probe, probe.seconds)

    def _learn_link(self, exchange: Exchange, seconds: float) -> None:
        learn = self._link.learn_late if exchange.late else self._link.learn
        learn(moved_bytes=round(exchange.moved_bytes), seconds=seconds, now=exchange.ended_s)

    def _device_state(self) -> DeviceState:
        power = self._power
        return DeviceState(
            self._device.value, self._device.spread, power.busy_w, power.idle_w, power.tx_w_per_mbps, power.tx_base_w
        )

    def _cloud_state(self, now: float) -> CloudState:
        link = self._link.read(now)
        return CloudState(
            name="cloud",
            up=True,
            offset_s=link.offset_s,
            s_per_byte=link.s_per_byte,
            link_spread=link.spread,
            speed=self._cloud.value,
            speed_spread=self._cloud.spread,
            queue_s=0.0,
        )
