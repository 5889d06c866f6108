/** The provider of an installation that pushes nothing. */
import type { PushJob, PushProvider } from './ports.ts'

/** There when no provider is configured: takes every job, so that the stream stays empty, and pushes nothing. */
export class NoProvider implements PushProvider {
  /** Jobs that a provider would have had. */
  skipped = 0

  async push(jobs: readonly PushJob[]): Promise<void> {
    this.skipped += jobs.length
  }
}
