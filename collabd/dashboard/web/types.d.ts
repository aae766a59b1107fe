// What the page reads of the reports in sdk/collab_sdk/reports.py, for `tsc --checkJs`. Browsers never see this file.

export type Measured = number | null;

export interface About {daemon: 'collabd' | 'collab-cloudd'; keys: boolean}

export interface Condition {
  code: string; about: string; severity: string; what: string; do: string; since_s: number; behind: string | null;
}

export interface Stream {
  model: string; stream: string; kind: string; cut: string; head_layers: number; layers: number; codec: string;
  precision: string; cloud: string | null; predicted_ms: Measured; measured_ms: number; age_s: number; calls: number;
  kinds: Record<string, number>; failed: number; degraded: number; missed: number; bytes_up: number;
  bytes_down: number; energy_mj: number; cost: number; fidelity: Measured; fidelity_pictures: Measured;
}

export interface Companion {
  name: string; url: string; found_at: string | null; state: string; rtt_ms: Measured; up_mbps: Measured;
  down_mbps: Measured; age_s: Measured; speed_factor: Measured; queue_ms: Measured; load: Measured; breaker: string;
  problem: string | null; packages: string[]; lacks: Record<string, string>;
}

export interface Device {
  cpu_load: Measured; temperature_c: Measured; power_w: number; power_source: string; memory_mb: number;
  throttled: string[] | null; battery: Measured;
}

export interface DeviceStatus {
  version: string; uptime_s: number; health: Condition[]; streams: Stream[]; clouds: Companion[]; device: Device;
  models: {name: string; task: string; layers: number; cuts: number; profiled: boolean; weights_mb: Measured}[];
  requests: {total: number; failed: number; degraded: number; remote: number; budget_missed: number};
}

export interface Package {name: string; digest: string; weight_bytes: number; layers: number; cuts: number}

export interface CloudStatus {
  version: string; uptime_s: number; ready: boolean; load: Measured; queue: number; packages: Package[];
  engine: {sessions: number; bytes: number; hits: number; builds: number; evictions: number};
  answers: {total: number; last_ms: Measured}; health: Condition[];
}

export interface Layer {name: string; op: string; macs: number; candidate: boolean; inputs: number[] | null}

export interface Layers {model: string; digest: string; layers: Layer[]}

export interface Candidate {
  cut: string; codec: string; precision: string; cascade: string | null; cloud: string | null; predicted_ms: number;
  deadline_ms: number; energy_mj: number; cost: number; fidelity: number; verdict: string;
}

export interface Decision {
  age_s: number; model: string; answer: string; budget: string; cut: string; codec: string; precision: string;
  placement: string; cloud: string | null; reason: string; answered_by: string | null; predicted_ms: Measured;
  measured_ms: number; budget_met: boolean; degraded: boolean; why: string; candidates: Candidate[];
}

export interface Box {label: string; score: number; x1: number; y1: number; x2: number; y2: number}

export interface Picture {
  id: number; age_s: number; model: string; stream: string; answer: string; width: number; height: number; boxes: Box[];
}

export interface Pictures {shown: boolean; pictures: Picture[]}

// The part of uPlot (vendor/uplot) that the page uses.
export interface Plot {
  setData(data: (number | null)[][]): void;
  setSize(size: {width: number; height: number}): void;
  redraw(): void;
  destroy(): void;
}

declare global {
  const uPlot: new (options: object, data: (number | null)[][], into: HTMLElement) => Plot;
}
