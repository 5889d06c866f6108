/** One device that jumps from node to node while messages flow (docs/adr/0005-cluster.md, Claims). */
import { expect, test } from 'vitest'
import { Device } from '../harness/device.ts'
import { checkHistory } from '../harness/history-checker.ts'
import { LoadRecord, LoadSender } from '../harness/load.ts'
import { directLog, makeAccounts } from '../harness/people.ts'
import { startServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const JUMPS = 500
const JUMPS_WATCHED = 50
/** More than are sent until the last jump, some 65 a second. */
const SENDS_MAX = 100_000
const PACE_MS = 600

test('500 jumps between three nodes: the earlier connection is closed, and every message comes once and in order', async () => {
  await using server = await startServer({ env: { WOCHAT_CONTACTS_REQUIRED: 'false' }, nodes: [{}, {}, {}] })
  await makeAccounts(server, 'alice', 'bob')
  const record = new LoadRecord()
  const first = await Device.connect(server, 'bob', 'phone', { clean: false })
  record.watch(first)
  const sender = new LoadSender(record, 'alice', ['bob'], SENDS_MAX, { paceMs: PACE_MS })
  const sending = sendAll(sender, server)

  let held = first
  let closedByTakeover = 0
  const answered: number[] = []
  for (let jump = 0; jump < JUMPS; jump++) {
    if (jump % JUMPS_WATCHED === 0) answered.push(sender.answered)
    server.serveFrom(jump % 3)
    const next = await Device.connect(server, 'bob', 'phone', { clean: false, subscribe: false })
    record.watch(next)
    expect(next.sessionPresent).toBe(true)
    await held.client.untilClosed()
    closedByTakeover++
    held = next
  }
  server.serveFrom(0, 1, 2)
  answered.push(sender.answered)
  sender.enough()
  await sending
  const log = directLog('alice', 'bob')
  await until(
    () => new Set(record.delivered.get('bob/phone')?.map(({ seq }) => seq)).size >= sender.total,
    () =>
      `messages ${missingOf(record, sender.total)}, in ${record.delivered.get('bob/phone')?.length} deliveries`,
    60_000,
  )
  held.cut()
  expect(closedByTakeover).toBe(JUMPS)
  for (const [i, count] of answered.slice(1).entries())
    expect(count, `messages met the jumps up to ${(i + 1) * JUMPS_WATCHED}`).toBeGreaterThan(answered[i]!)
  const { attempted, accepted, delivered } = record
  const expected = new Map([['bob/phone', [log]]])
  expect(checkHistory({ attempted, accepted, delivered, expected })).toEqual([])
}, 300_000)

function missingOf(record: LoadRecord, total: number): string {
  const came = new Set(record.delivered.get('bob/phone')?.map(({ seq }) => seq))
  return Array.from({ length: total }, (_, i) => i + 1)
    .filter((seq) => !came.has(seq))
    .join(' ')
}

/** Again and again: the sender's own node may change with `serveFrom` at its next connection only. */
async function sendAll(sender: LoadSender, server: Parameters<LoadSender['run']>[0]): Promise<void> {
  while (!sender.done) await sender.run(server)
}
