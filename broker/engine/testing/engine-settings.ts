import type { EngineSettings } from '../engine.ts'

/** As the configuration has them when nobody sets them. */
export const ENGINE_SETTINGS: EngineSettings = {
  queuedMessagesMax: 100_000,
  waitingBytesMax: 1024 * 1024,
  halfOpenMax: 256,
  subscriptionsMax: 100,
  retainedIndexBytesMax: 64 * 1024 * 1024,
}
