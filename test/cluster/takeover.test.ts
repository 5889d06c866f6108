/** One device that jumps from node to node while messages flow (docs/adr/0005-cluster.md, Claims). */
import { expect, test } from 'vitest'
import { Device } from '../harness/device.ts'
import { checkHistory } from '../harness/history-checker.ts'
import { LoadRecord, LoadSender } from '../harness/load.ts'
import { directLog, makeAccounts } from '../harness/people.ts'
import { startServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const JUMPS = 500
const SENDS = 2000

test('500 jumps between three nodes: the earlier connection is closed, and every message comes once and in order', async () => {
  await using server = await startServer({ env: { WOCHAT_CONTACTS_REQUIRED: 'false' }, nodes: [{}, {}, {}] })
  await makeAccounts(server, 'alice', 'bob')
  const record = new LoadRecord()
  const first = await Device.connect(server, 'bob', 'phone', { clean: false })
  record.watch(first)
  const sender = new LoadSender(record, 'alice', ['bob'], SENDS)
  const sending = sendAll(sender, server)

  let held = first
  let closedByTakeover = 0
  for (let jump = 0; jump < JUMPS; jump++) {
    server.serveFrom(jump % 3)
    const next = await Device.connect(server, 'bob', 'phone', { clean: false, subscribe: false })
    record.watch(next)
    expect(next.sessionPresent).toBe(true)
    await held.client.untilClosed()
    closedByTakeover++
    held = next
  }
  server.serveFrom(0, 1, 2)
  await sending
  const log = directLog('alice', 'bob')
  await until(
    () => new Set(record.delivered.get('bob/phone')?.map(({ seq }) => seq)).size >= SENDS,
    () => `messages ${missingOf(record)}, in ${record.delivered.get('bob/phone')?.length} deliveries`,
    60_000,
  )
  held.cut()
  expect(closedByTakeover).toBe(JUMPS)
  const { attempted, accepted, delivered } = record
  const expected = new Map([['bob/phone', [log]]])
  expect(checkHistory({ attempted, accepted, delivered, expected })).toEqual([])
}, 300_000)

function missingOf(record: LoadRecord): string {
  const came = new Set(record.delivered.get('bob/phone')?.map(({ seq }) => seq))
  return Array.from({ length: SENDS }, (_, i) => i + 1)
    .filter((seq) => !came.has(seq))
    .join(' ')
}

/** Again and again: the sender's own node may change with `serveFrom` at its next connection only. */
async function sendAll(sender: LoadSender, server: Parameters<LoadSender['run']>[0]): Promise<void> {
  while (!sender.done) await sender.run(server)
}
