/**
 * The judge of a run: what the server acknowledged against what the devices got.
 *
 * Promises it checks, after dropping repeats of (log, epoch, seq):
 * - every acknowledged message was delivered to every device that should have it, exactly once;
 * - in each log a device got the entries in the order of seq;
 * - seq has no hole over what was acknowledged and delivered, and one message has one seq;
 * - nothing came that nobody sent, and no repeat differs from the first copy.
 */

export type Accepted = { id: string; log: string; seq: number }
export type Delivered = { log: string; epoch: string; seq: number; id?: string | undefined; text: string }

export type History = {
  /** Ids that were sent at least once, acknowledged or not. */
  attempted: ReadonlySet<string>
  /** One per acknowledgement; a resent message may be there twice, with the same seq. */
  accepted: readonly Accepted[]
  /** What each device received, in order, repeats included. */
  delivered: ReadonlyMap<string, readonly Delivered[]>
  /** The logs that a device must have in full. */
  expected: ReadonlyMap<string, readonly string[]>
  /** The seq of the first message of each log, where it is not 1. */
  firstSeq?: ReadonlyMap<string, number>
}

const VIOLATIONS_SHOWN = 50

/** What is wrong with a history, a line each; empty when every promise was kept. */
export function checkHistory(history: History): string[] {
  const violations: string[] = []
  const report = (text: string) => {
    if (violations.length < VIOLATIONS_SHOWN) violations.push(text)
  }
  const accepted = checkAccepted(history, report)
  const distinct = new Map<string, Delivered[]>()
  for (const [device, entries] of history.delivered)
    distinct.set(device, dropRepeats(device, entries, report))
  for (const [device, entries] of distinct) checkDevice(device, entries, accepted, history.attempted, report)
  checkComplete(history, accepted, distinct, report)
  checkHoles(history, accepted, distinct, report)
  return violations
}

type Report = (text: string) => void

function checkAccepted({ accepted, attempted }: History, report: Report): Map<string, Accepted> {
  const byId = new Map<string, Accepted>()
  const byPlace = new Map<string, string>()
  for (const entry of accepted) {
    const before = byId.get(entry.id)
    const place = placeOf(entry)
    if (!attempted.has(entry.id)) report(`${entry.id} was acknowledged but never sent`)
    if (before !== undefined && placeOf(before) !== place) {
      report(`${entry.id} was acknowledged as ${placeOf(before)} and as ${place}`)
    }
    const holder = byPlace.get(place)
    if (holder !== undefined && holder !== entry.id) report(`${place} was given to ${holder} and ${entry.id}`)
    byId.set(entry.id, entry)
    byPlace.set(place, entry.id)
  }
  return byId
}

function dropRepeats(device: string, entries: readonly Delivered[], report: Report): Delivered[] {
  const first = new Map<string, Delivered>()
  for (const entry of entries) {
    const name = `${entry.log} ${entry.epoch} ${entry.seq}`
    const before = first.get(name)
    if (before === undefined) first.set(name, entry)
    else if (before.id !== entry.id || before.text !== entry.text) {
      report(`${device} got two different entries as ${name}`)
    }
  }
  return [...first.values()]
}

function checkDevice(
  device: string,
  entries: readonly Delivered[],
  accepted: ReadonlyMap<string, Accepted>,
  attempted: ReadonlySet<string>,
  report: Report,
): void {
  const lastSeq = new Map<string, number>()
  const seen = new Map<string, string>()
  for (const entry of entries) {
    const last = lastSeq.get(entry.log) ?? 0
    if (entry.seq <= last) report(`${device} got ${placeOf(entry)} after seq ${last}`)
    lastSeq.set(entry.log, Math.max(last, entry.seq))
    if (entry.id === undefined) continue
    if (!attempted.has(entry.id)) report(`${device} got ${entry.id}, which nobody sent`)
    const elsewhere = seen.get(entry.id)
    if (elsewhere !== undefined) {
      report(`${device} got ${entry.id} twice, as ${elsewhere} and ${placeOf(entry)}`)
    }
    seen.set(entry.id, placeOf(entry))
    const answer = accepted.get(entry.id)
    if (answer !== undefined && placeOf(answer) !== placeOf(entry)) {
      report(`${entry.id} was acknowledged as ${placeOf(answer)} but delivered as ${placeOf(entry)}`)
    }
  }
}

function checkComplete(
  history: History,
  accepted: ReadonlyMap<string, Accepted>,
  distinct: ReadonlyMap<string, readonly Delivered[]>,
  report: Report,
): void {
  for (const [device, logs] of history.expected) {
    const got = new Set((distinct.get(device) ?? []).map((entry) => entry.id))
    for (const entry of accepted.values()) {
      if (logs.includes(entry.log) && !got.has(entry.id)) {
        report(`${device} never got ${entry.id} (${placeOf(entry)}), which was acknowledged`)
      }
    }
  }
}

function checkHoles(
  history: History,
  accepted: ReadonlyMap<string, Accepted>,
  distinct: ReadonlyMap<string, readonly Delivered[]>,
  report: Report,
): void {
  const known = new Map<string, Set<number>>()
  const note = ({ log, seq }: { log: string; seq: number }) => {
    const seqs = known.get(log) ?? new Set()
    known.set(log, seqs.add(seq))
  }
  for (const entry of accepted.values()) note(entry)
  for (const entries of distinct.values()) entries.forEach(note)
  for (const [log, seqs] of known) {
    const head = Math.max(...seqs)
    for (let seq = history.firstSeq?.get(log) ?? 1; seq <= head; seq++) {
      if (!seqs.has(seq)) report(`${log} has no entry ${seq}, its head is ${head}`)
    }
  }
}

function placeOf({ log, seq }: { log: string; seq: number }): string {
  return `${log}#${seq}`
}
