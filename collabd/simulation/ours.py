"""collabd as a policy: its own estimates, prediction and choice, fed by the simulation."""

from __future__ import annotations

from math import inf

from collabd.config import DeviceConfig
from collabd.device.decide.chooser import Chooser, PastPlans
from collabd.planning import (
    CallFacts,
    Caps,
    CloudState,
    DeviceState,
    expected_wait,
    hedged,
    local_start_s,
    predict,
)
from collabd.planning.choose import SwitchGain
from collabd.sensing.estimates.speed import SpeedFactor
from collabd.sensing.link.estimate import LinkEstimate, Transfer, next_probe_s
from collabd.sensing.power.board import BoardPower
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
        switch_gain = SwitchGain(planning.switch_gain_ms / 1e3, planning.switch_gain_ratio)
        self._chooser = Chooser(switch_gain, planning.explore_share, PastPlans())
        self._link = LinkEstimate(config.link.memory)
        self._device = SpeedFactor(workload.slowdown)
        self._cloud = SpeedFactor()
        self._called_at = 0.0
        self._asked_at = -inf

    def choose(self, _: int, now: float) -> Choice:
        """The daemon's choice."""
        self._called_at = now
        plans, price = self._workload.plans, self._config.failover.hedge_price
        device, cloud = self._device_state(now), self._cloud_state(now)
        call = CallFacts(self._workload.prep_s * self._workload.slowdown, (0.0,), None)
        prediction = predict(
            plans, device=device, clouds=[cloud], call=call, quantile=self._config.planning.cap_quantile
        )
        prediction = hedged(plans, prediction, clouds=[cloud], price=price)
        plan = plans.rows[self._chooser.choose(plans, prediction, self._caps, kind="call").row]
        wait = expected_wait(
            cloud, up_bytes=plan.up_bytes, down_bytes=plan.down_bytes, work_s=plan.decode_s + plan.tail_s
        )
        if plan.cloud is not None:
            self._asked_at = now
        tail_s = plan.local_tail_s * device.speed
        return Choice(plan, local_start_s(deadline_s=None, local_tail_s=tail_s, wait=wait, price=price))

    def learn(self, outcome: Outcome) -> None:
        """As the daemon does of a call."""
        plan, now = outcome.plan, outcome.ended_s
        self._device.learn(measured_s=outcome.head_s, profiled_s=plan.head_s, now=now)
        if outcome.local_tail_s is not None:
            self._device.learn(measured_s=outcome.local_tail_s, profiled_s=plan.local_tail_s, now=now)
        if outcome.exchange is not None:
            if not outcome.late:
                self._cloud.learn(measured_s=outcome.tail_s, profiled_s=plan.decode_s + plan.tail_s, now=now)
            self._learn_link(outcome.exchange, outcome.link_s)

    def probe_due(self, now: float) -> tuple[float, int] | None:
        """As the daemon's watcher does."""
        link = self._config.link
        size = link.probe_kb * 1000
        due = next_probe_s(
            self._link.read(now),
            probe_bytes=size,
            stale_s=link.stale_s,
            share=link.probe_share,
            idle_s=now - self._called_at,
        )
        return None if due is None else (now + due, size)

    def learn_probe(self, probe: Exchange) -> None:
        """As the daemon does of a ping."""
        self._learn_link(probe, probe.seconds)

    def _learn_link(self, exchange: Exchange, seconds: float) -> None:
        now = exchange.ended_s
        self._link.learn_rtt(exchange.rtt_s)
        if exchange.late:
            self._link.learn_late(up_bytes=exchange.up_bytes, seconds=seconds, now=now)
        else:
            self._link.learn(
                Transfer(
                    up_bytes=exchange.up_bytes,
                    up_s=exchange.up_s,
                    down_bytes=exchange.down_bytes,
                    down_s=exchange.down_s,
                ),
                now,
            )

    def _device_state(self, now: float) -> DeviceState:
        power, speed = self._power, self._device.read(now)
        return DeviceState(
            speed=speed.value,
            spread=speed.spread,
            busy_w=power.busy_w,
            idle_w=power.idle_w,
            tx_w_per_mbps=power.tx_w_per_mbps,
            tx_base_w=power.tx_base_w,
        )

    def _cloud_state(self, now: float) -> CloudState:
        link, speed = self._link.read(now), self._cloud.read(now)
        return CloudState(
            name="cloud",
            up=True,
            rtt_s=link.rtt_s,
            up_s_per_byte=link.up_s_per_byte,
            down_s_per_byte=link.down_s_per_byte,
            link_spread=link.spread,
            speed=speed.value,
            speed_spread=speed.spread,
            queue_s=0.0,
            unasked_s=now - self._asked_at,
        )
