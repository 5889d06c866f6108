/**
 * The push role: devices that have no connection are woken by the provider of their platform.
 *
 * **What is there in this version:** the stream of jobs, workers with takeover, this port, and the provider that is
 * used when none is configured ({@link NoProvider}), which counts a job and does nothing. **What is not:** a provider
 * (APNs, FCM, a webhook), tokens of devices, and anybody who appends jobs; the fan-out does not look yet for members
 * without an acknowledging device.
 */
import type { DeviceId, LogId, UserId } from '../../protocol/ids.ts'

/** One device has not acknowledged an entry. */
export type PushJob = { uid: UserId; device: DeviceId; log: LogId; seq: number }

export interface PushProvider {
  /**
   * Delivers, or decides that there is nothing to deliver; a job may come twice. Rejects when it should be tried
   * again later, and is then called with the same jobs, by this worker or by another.
   */
  push(jobs: readonly PushJob[]): Promise<void>
}

/** What the push role has done in this process since its start; `broker/cluster-metrics.ts` reads it. */
export type PushMetrics = {
  /** Jobs that the provider took. */
  processed: number
  /** Jobs taken over from another worker, or tried again. */
  claimed: number
  /** Calls of the provider that failed. */
  failures: number
  /** Jobs that wait or are with a provider. */
  streamLength: number
}

export function createPushMetrics(): PushMetrics {
  return { processed: 0, claimed: 0, failures: 0, streamLength: 0 }
}
