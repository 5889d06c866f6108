/** Worker processes die in the middle of a load, or all of them are asked to stop: nothing acknowledged is lost. */
import { describe, expect, test } from 'vitest'
import { connectApart, isAlive, workerPids } from '../cluster/workers-harness.ts'
import { Device } from '../harness/device.ts'
import { checkHistory } from '../harness/history-checker.ts'
import { LoadRecord, LoadSender } from '../harness/load.ts'
import { directLog, makeAccounts, makeGroup } from '../harness/people.ts'
import { startServer, type TestServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const WORKERS = { env: { WOCHAT_WORKERS: '2', WOCHAT_CONTACTS_REQUIRED: 'false' } }
const SENDERS = ['s0', 's1', 's2', 's3']
const RECEIVERS = ['r0', 'r1', 'r2', 'r3']
const EACH = 750

/** A receiver that connects again whenever its connection is gone, until it is told to stop. */
class Receiver {
  readonly uid: string
  readonly connections: Device[] = []
  #isStopped = false

  constructor(uid: string) {
    this.uid = uid
  }

  async run(server: TestServer): Promise<void> {
    while (!this.#isStopped) {
      try {
        const device = await Device.connect(server, this.uid, 'phone', { clean: false, subscribe: false })
        this.connections.push(device)
        if (!device.sessionPresent) await device.follow()
        await until(() => device.client.closed || this.#isStopped, 'the end', 120_000)
      } catch {
        // The worker died while it opened the connection: the next try meets another one.
      }
    }
    for (const device of this.connections) device.cut()
  }

  get inbox() {
    return this.connections.flatMap((device) => device.inbox).filter(({ kind }) => kind === 'message')
  }

  stop(): void {
    this.#isStopped = true
  }
}

/** Runs again after every cut, until everything is answered. */
async function runToEnd(sender: LoadSender, server: TestServer): Promise<void> {
  await until(
    async () => {
      if (!sender.done) await sender.run(server).catch(() => null)
      return sender.done
    },
    () => `all sends of ${sender.uid}, ${sender.answered} were answered`,
    120_000,
  )
}

async function isReadyWith(server: TestServer, workers: number): Promise<boolean> {
  return (await server.metrics()).sum('wochat_workers') === workers
}

describe('under a load of 3,000 sends by four senders over two workers', () => {
  test('kill -9 of a worker, three times: every acknowledged entry is delivered exactly once, in order', async () => {
    await using server = await startServer(WORKERS)
    await makeAccounts(server, ...SENDERS, ...RECEIVERS)
    const group = await makeGroup(server, 's0', [...SENDERS.slice(1), ...RECEIVERS])
    const record = new LoadRecord()
    const senders = SENDERS.map((uid) => new LoadSender(record, uid, [...RECEIVERS, group], EACH))
    const receivers = RECEIVERS.map((uid) => new Receiver(uid))
    const receiving = receivers.map((receiver) => receiver.run(server))
    await until(() => receivers.every(({ connections }) => connections.length > 0), 'the receivers')
    const answered = () => senders.reduce((sum, sender) => sum + sender.answered, 0)
    const sending = senders.map((sender) => runToEnd(sender, server))
    for (const share of [0.2, 0.4, 0.6]) {
      await until(() => answered() >= SENDERS.length * EACH * share, `${share} of the answers`, 60_000)
      const [victim] = await workerPids(server)
      process.kill(victim!, 'SIGKILL')
      await until(() => isReadyWith(server, 2), 'another worker in its place', 60_000)
    }
    await Promise.all(sending)
    const logsOf = (uid: string) => [group, ...SENDERS.map((sender) => directLog(sender, uid))]
    for (const receiver of receivers) {
      const logs = new Set(logsOf(receiver.uid))
      const wanted = new Set(record.accepted.filter(({ log }) => logs.has(log)).map(({ id }) => id)).size
      const got = () => new Set(receiver.inbox.map(({ log, seq }) => `${log} ${seq}`)).size
      await until(
        () => got() >= wanted,
        () => `${receiver.uid}: ${wanted}, ${got()} came`,
        60_000,
      )
      receiver.stop()
    }
    await Promise.all(receiving)
    const delivered = receivers.map(
      ({ uid, inbox }) =>
        [
          uid,
          inbox.map(({ log, epoch, seq, id, body }) => ({ log, epoch, seq, id, text: String(body.text) })),
        ] as const,
    )
    const firstOfGroup = Math.min(...record.accepted.filter(({ log }) => log === group).map(({ seq }) => seq))
    const violations = checkHistory({
      attempted: record.attempted,
      accepted: record.accepted,
      delivered: new Map(delivered),
      expected: new Map(RECEIVERS.map((uid) => [uid, logsOf(uid)])),
      firstSeq: new Map([[group, firstOfGroup]]),
    })
    expect(violations).toEqual([])
    expect(record.refused.filter((refusal) => !/: (shutting_down|busy)$/.test(refusal))).toEqual([])
    expect((await server.metrics()).sum('wochat_worker_restarts_total')).toBe(3)
  }, 240_000)
})

describe('the processes of a server with workers', () => {
  test.each(['the primary alone', 'all of them at once'])(
    'end on SIGTERM to %s, with 0',
    async (whom) => {
      await using server = await startServer(WORKERS)
      await makeAccounts(server, 'alice', 'bob')
      const [alice, bob] = await connectApart(server, 'alice', 'bob', { version: 5, clean: false })
      await alice.send({ id: 'm1', to: 'bob', text: 'acknowledged at the last moment' })
      await bob.untilMessages(1)
      await bob.client.ping()
      const pids = await workerPids(server)
      expect(pids).toHaveLength(2)
      const { exited } = server
      if (whom !== 'the primary alone') for (const pid of pids) process.kill(pid, 'SIGTERM')
      server.signal('SIGTERM')
      expect(await exited).toEqual({ code: 0, signal: null })
      await until(() => !pids.some(isAlive), 'the workers to be gone')
      await bob.client.untilClosed()
      expect(bob.client.received('disconnect')[0]?.reasonCode).toBe(0x8b)
      await server.start()
      using again = await Device.connect(server, 'bob', 'two', { version: 5, clean: false, subscribe: false })
      await again.settle()
      expect(again.sessionPresent).toBe(true)
      // The cursor of the last moment was kept.
      expect(again.messages).toEqual([])
    },
    90_000,
  )

  test('end when the primary is killed', async () => {
    await using server = await startServer(WORKERS)
    const pids = await workerPids(server)
    await server.kill9()
    await until(() => !pids.some(isAlive), 'the workers to be gone')
  }, 60_000)

  test('end on SIGTERM although one worker is frozen', async () => {
    await using server = await startServer({ env: { ...WORKERS.env, WOCHAT_STOP_TIMEOUT_MS: '4s' } })
    const pids = await workerPids(server)
    process.kill(pids[0]!, 'SIGSTOP')
    const { exited } = server
    server.signal('SIGTERM')
    await exited
    await until(() => !pids.some(isAlive), 'the workers to be gone')
  }, 60_000)
})
