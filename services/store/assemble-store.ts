/** A store object from what an engine has: its sends, its feed, and one function for all calls of the contract. */
import type { CommitFeed, SendJob, Store, StoreHealth, StoreMetrics } from './contract.ts'

/** Until somebody listens. */
export const NO_FEED: CommitFeed = {
  entryCommitted() {},
  logGrew() {},
  memberJoined() {},
  memberLeft() {},
  readMoved() {},
  stateChanged() {},
  loginEnded() {},
}

type StoreClient<Name extends string> = {
  feed: CommitFeed
  readonly metrics: StoreMetrics
  send(job: SendJob): void
  call(name: Name, input: unknown): Promise<unknown>
  health(): Promise<StoreHealth>
  close(): Promise<void>
}

/** `names`: all calls of `Calls`, each of one input. */
export function assembleStore<Calls extends object>(
  client: StoreClient<keyof Calls & string>,
  names: readonly (keyof Calls & string)[],
): Calls & Pick<Store, 'feed' | 'metrics' | 'send' | 'health' | typeof Symbol.asyncDispose> {
  const calls = Object.fromEntries(
    names.map((name) => [name, (input: unknown) => client.call(name, input)]),
  ) as unknown as Calls
  return {
    ...calls,
    get feed() {
      return client.feed
    },
    set feed(feed: CommitFeed) {
      client.feed = feed
    },
    metrics: client.metrics,
    send: (job) => client.send(job),
    health: () => client.health(),
    [Symbol.asyncDispose]: () => client.close(),
  }
}
