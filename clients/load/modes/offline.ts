/** `offline`: what was sent to devices that were away waits for them. */
import { nowUs, sleepMs } from '../clock.ts'
import type { Connection, ConnectionEvents } from '../connection.ts'
import { buildDeviceMessages } from '../device-messages.ts'
import { Fleet } from '../fleet.ts'
import { Histogram } from '../histogram.ts'
import { type Options, PHASES, type Phase, UsageError } from '../options.ts'
import type { Message } from '../payload.ts'
import { CpuMeter, rssKbOf } from '../process-stats.ts'
import { Receiver } from '../receiver.ts'
import { type Result, rounded } from '../result.ts'
import { countsOf, problemsOf } from '../verdict.ts'

/**
 * Devices make a persistent session and leave (`prepare`), are sent messages (`enqueue`), and come back for them
 * (`drain`); `remove` ends their sessions. Each device has one publisher, so that its order can be judged. Parts may run
 * in processes of their own, for example with the server killed in between.
 */
export async function runOffline(options: Options, pids: readonly number[]): Promise<Result> {
  const phases = parsePhases(options.phases)
  const offline = new Offline(options, pids)
  try {
    const figures: Record<string, unknown> = {}
    if (phases.has('prepare')) figures.prepareSeconds = await offline.prepare()
    if (phases.has('enqueue')) figures.enqueue = await offline.enqueue()
    if (phases.has('drain')) figures.drain = await offline.drain()
    if (phases.has('remove')) await offline.remove()
    return { ...offline.report(phases), ...figures }
  } finally {
    await offline.fleet.close()
  }
}

class Offline implements ConnectionEvents {
  readonly fleet: Fleet
  private readonly options: Options
  private readonly pids: readonly number[]
  private readonly receiver: Receiver
  private readonly messages: Message[]
  private readonly ackLatency = new Histogram()
  private readonly lostConnections: string[] = []
  private readonly publishers: number
  private readonly stamp = { publisher: 0, sequence: 0, sentUs: 0 }
  /** Per publisher: messages sent and acknowledged. */
  private readonly sentCount: Uint32Array
  private readonly ackedCount: Uint32Array
  /** When message k of a publisher was sent, at k modulo the window. */
  private readonly sentUs: Float64Array
  private sent = 0
  private acked = 0
  private sending = false
  private lastUs = 0

  constructor(options: Options, pids: readonly number[]) {
    this.options = options
    this.pids = pids
    this.publishers = options.pubs
    if (this.publishers > options.devices)
      throw new UsageError('offline needs at least as many --devices as --pubs')
    const publishers = Array.from({ length: this.publishers }, (_, number) => ({
      role: 'publisher' as const,
      number,
      group: number,
    }))
    const devices = Array.from({ length: options.devices }, (_, number) => ({
      role: 'subscriber' as const,
      number,
      group: number,
    }))
    this.fleet = new Fleet(options, [...publishers, ...devices], this)
    this.receiver = new Receiver({
      run: options.run,
      streams: options.devices,
      streamOf: (device, publisher) => (publisher === device % this.publishers ? device : -1),
    })
    this.messages = buildDeviceMessages(options, options.devices)
    this.sentCount = new Uint32Array(this.publishers)
    this.ackedCount = new Uint32Array(this.publishers)
    this.sentUs = new Float64Array(this.publishers * options.window)
  }

  async prepare(): Promise<number> {
    const seconds = await this.openDevices({ persistent: true, subscribe: true })
    await sleepMs(this.options.settle * 1000)
    await this.closeDevices()
    await sleepMs(this.options.settle * 1000)
    return rounded(seconds, 3)
  }

  async enqueue() {
    await this.fleet.open(0, this.publishers, { persistent: false, subscribe: false })
    const rssBefore = rssKbOf(this.pids)
    const meter = new CpuMeter(this.pids)
    const startedUs = nowUs()
    this.lastUs = startedUs
    this.sending = true
    for (let publisher = 0; publisher < this.publishers; publisher++) this.sendWhileRoom(publisher)
    await this.waitForProgress(() => this.acked === this.total)
    this.sending = false
    const seconds = (this.lastUs - startedUs) / 1e6
    const cpuPercent = meter.stop()
    await sleepMs(this.options.settle * 1000)
    const rssAfter = rssKbOf(this.pids)
    await this.fleet.close(0, this.publishers)
    return {
      seconds: rounded(seconds, 3),
      messagesPerSecond: rounded(this.acked / seconds),
      ackMs: this.ackLatency.summaryMs(),
      cpuPercent,
      ...(this.pids.length === 0 ? {} : { rssGrowthMb: rounded((rssAfter - rssBefore) / 1024, 1) }),
    }
  }

  async drain() {
    const { tracker } = this.receiver
    const meter = new CpuMeter(this.pids)
    const startedUs = nowUs()
    this.lastUs = startedUs
    const connectSeconds = await this.openDevices({ persistent: true, subscribe: false })
    const devices = this.fleet.connections.slice(this.publishers)
    const sessionsPresent = devices.filter((device) => device.sessionPresent).length
    await this.waitForProgress(() => tracker.delivered >= this.total)
    const seconds = (this.lastUs - startedUs) / 1e6
    const cpuPercent = meter.stop()
    await sleepMs(this.options.settle * 1000)
    await this.closeDevices()
    return {
      connectSeconds: rounded(connectSeconds, 3),
      afterConnectSeconds: rounded(Math.max(0, seconds - connectSeconds), 3),
      seconds: rounded(seconds, 3),
      messagesPerSecond: seconds > 0 ? rounded(tracker.delivered / seconds) : 0,
      connectMs: this.fleet.connectTimes.summaryMs(),
      sessionsPresent,
      cpuPercent,
    }
  }

  async remove(): Promise<void> {
    await this.openDevices({ persistent: false, subscribe: false })
    await this.closeDevices()
  }

  message(connection: Connection, bytes: Buffer, start: number, end: number, receivedUs: number): void {
    if (!this.receiver.accept(connection, connection.number - this.publishers, bytes, start, end)) return
    this.lastUs = receivedUs
  }

  acknowledged(connection: Connection, _packetId: number, receivedUs: number): void {
    const publisher = connection.number
    const slot = publisher * this.options.window + (this.ackedCount[publisher]! % this.options.window)
    this.ackLatency.record(receivedUs - this.sentUs[slot]!)
    this.ackedCount[publisher]! += 1
    this.acked += 1
    this.lastUs = receivedUs
    this.sendWhileRoom(publisher)
  }

  lost(connection: Connection, reason: string): void {
    this.lostConnections.push(`connection ${connection.number} lost: ${reason}`)
  }

  report(phases: ReadonlySet<Phase>): Result {
    const { options } = this
    const counts = countsOf(this.receiver, {
      sent: this.sent,
      acked: this.acked,
      expected: phases.has('drain') ? this.total : 0,
      resent: this.fleet.resent,
    })
    const unsent =
      phases.has('enqueue') && this.sent < this.total ? [`${this.total - this.sent} not sent`] : []
    const problems = problemsOf(counts, [...this.lostConnections.slice(0, 3), ...unsent])
    return {
      mode: 'offline',
      label: options.label,
      ok: problems.length === 0,
      problems,
      phases: [...phases],
      run: options.run,
      devices: options.devices,
      messages: options.messages,
      pubs: options.pubs,
      window: options.window,
      ...counts,
    }
  }

  private get total(): number {
    return this.options.devices * this.options.messages
  }

  private openDevices(how: { persistent: boolean; subscribe: boolean }): Promise<number> {
    return this.fleet.open(this.publishers, this.fleet.connections.length, how)
  }

  private closeDevices(): Promise<void> {
    return this.fleet.close(this.publishers, this.fleet.connections.length)
  }

  /** Returns when done, or when nothing has moved for `--drain` seconds, or a connection was lost. */
  private async waitForProgress(isDone: () => boolean): Promise<void> {
    while (!isDone() && this.lostConnections.length === 0) {
      if (nowUs() - this.lastUs > this.options.drain * 1e6) return
      await sleepMs(2)
    }
  }

  /** A publisher goes round its devices, so that message k + 1 of all follows message k of all. */
  private sendWhileRoom(publisher: number): void {
    if (!this.sending) return
    const { options } = this
    const stamp = this.stamp
    const devices = Math.ceil((options.devices - publisher) / this.publishers)
    const last = devices * options.messages
    let sent = this.sentCount[publisher]!
    while (sent < last && sent - this.ackedCount[publisher]! < options.window) {
      const device = publisher + this.publishers * (sent % devices)
      stamp.publisher = publisher
      stamp.sequence = Math.floor(sent / devices) + 1
      stamp.sentUs = nowUs()
      this.sentUs[publisher * options.window + (sent % options.window)] = stamp.sentUs
      this.fleet.connections[publisher]!.publish(this.messages[device]!, stamp)
      sent += 1
      this.sent += 1
    }
    this.sentCount[publisher] = sent
  }
}

function parsePhases(list: string): Set<Phase> {
  const phases = list.split(',')
  const isPhase = (phase: string): phase is Phase => (PHASES as readonly string[]).includes(phase)
  if (!phases.every(isPhase)) throw new UsageError(`--phases ${list}: of ${PHASES.join(', ')}`)
  return new Set(phases)
}
