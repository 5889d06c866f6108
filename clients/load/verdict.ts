/** Whether a run counts: what was lost, came twice or out of order, and the words for it. */
import type { Receiver } from './receiver.ts'

interface Counts {
  sent: number
  acked: number
  expected: number
  delivered: number
  lost: number
  unacknowledged: number
  duplicates: number
  outOfOrder: number
  stray: number
  foreign: number
  unmarked: number
  /** PUBLISHes with DUP set: allowed, and told apart from duplicates by their numbers. */
  resent: number
}

export function countsOf(
  receiver: Receiver,
  flow: { sent: number; acked: number; expected: number; resent: number },
): Counts {
  const { tracker, stray, foreign, unmarked } = receiver
  return {
    ...flow,
    delivered: tracker.delivered,
    lost: flow.expected - tracker.delivered,
    unacknowledged: flow.sent - flow.acked,
    duplicates: tracker.duplicates,
    outOfOrder: tracker.outOfOrder,
    stray,
    foreign,
    unmarked,
  }
}

/** Everything that makes the run count for nothing, in words; empty if it was good. */
export function problemsOf(counts: Counts, others: readonly string[] = []): string[] {
  const faults: [number, string][] = [
    [counts.lost, 'lost'],
    [counts.unacknowledged, 'not acknowledged'],
    [counts.duplicates, 'duplicates'],
    [counts.outOfOrder, 'out of order'],
    [counts.stray, 'delivered to the wrong receiver'],
  ]
  return [...others, ...faults.filter(([count]) => count !== 0).map(([count, fault]) => `${count} ${fault}`)]
}
