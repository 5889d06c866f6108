/** `failover`: a node is killed, and its devices come back to the others. */
import { nowUs, sleepMs, waitUntil } from '../clock.ts'
import type { Connection, ConnectionEvents } from '../connection.ts'
import { buildDeviceMessages } from '../device-messages.ts'
import { Fleet, type Member, parsePorts } from '../fleet.ts'
import { Histogram } from '../histogram.ts'
import { readSentUs } from '../marker.ts'
import { type Options, UsageError } from '../options.ts'
import type { Message } from '../payload.ts'
import { CpuMeter, type Parts } from '../process-stats.ts'
import { Receiver } from '../receiver.ts'
import { type Result, rounded } from '../result.ts'
import { countsOf, problemsOf } from '../verdict.ts'

const RATE_OF_FAILOVER = 1_000
const SEND_EVERY_MS = 1
/** Above, sending stands still until the server has caught up. */
const UNACKNOWLEDGED_MAX = 50_000

/**
 * Devices with persistent sessions on a node that is killed come back to the others, while messages go on to all of them.
 * `backSeconds` and `drainedSeconds` count from the kill: until the last device is connected, and until all that was sent
 * up to then has arrived. A device acknowledges as usual, so what the dead node had not written down comes once more.
 */
export async function runFailover(options: Options, pids: readonly number[], parts: Parts): Promise<Result> {
  const failover = new Failover(options)
  const { fleet } = failover
  try {
    await failover.connect()
    await sleepMs(options.settle * 1000)
    const sending = failover.startSending()
    await sleepMs(options.warmup * 1000)
    const meter = new CpuMeter(pids, parts)
    const outage = await failover.killAndReturn()
    clearInterval(sending)
    const drained = await waitUntil(() => failover.isDrained, options.drain * 1000)
    const drainedSeconds = failover.secondsSinceKill
    const cpuPercent = meter.stop()
    await sleepMs(options.settle * 1000)
    return { ...failover.report(outage, drained, drainedSeconds), cpuPercent }
  } finally {
    await fleet.close()
  }
}

interface Outage {
  /** From the kill until the last connection of the dead node was seen closed. */
  closedSeconds: number
  backSeconds: number
  sessionsPresent: number
}

class Failover implements ConnectionEvents {
  readonly fleet: Fleet
  private readonly options: Options
  private readonly ports: readonly number[]
  private readonly receiver: Receiver
  private readonly messages: Message[]
  private readonly sequences: Uint32Array
  private readonly stayingLatency = new Histogram()
  private readonly faults: string[] = []
  private readonly stamp = { publisher: 0, sequence: 0, sentUs: 0 }
  private isKilled = false
  private isBack = false
  private killedUs = 0
  private lastUs = 0
  private cut = 0
  private sent = 0
  private acked = 0

  constructor(options: Options) {
    const { devices, staying, pubs } = options
    if (options.failoverPorts === '') throw new UsageError('failover needs --failover-ports')
    if (pubs > devices) throw new UsageError('failover needs at least as many --devices as --pubs')
    this.options = options
    this.ports = parsePorts('failover-ports', options.failoverPorts)
    const all = devices + staying
    const member = (role: Member['role']) => (_: unknown, number: number) => ({ role, number, group: number })
    this.fleet = new Fleet(
      options,
      [
        ...Array.from({ length: pubs }, member('publisher')),
        ...Array.from({ length: all }, member('subscriber')),
      ],
      this,
    )
    this.receiver = new Receiver({
      run: options.run,
      streams: all,
      streamOf: (device, publisher) => (publisher === device % pubs ? device : -1),
    })
    this.messages = buildDeviceMessages(options, all)
    this.sequences = new Uint32Array(all)
  }

  get isDrained(): boolean {
    return this.acked === this.sent && this.receiver.tracker.delivered >= this.sent
  }

  /** Of the last delivery or acknowledgement. */
  get secondsSinceKill(): number {
    return (this.lastUs - this.killedUs) / 1e6
  }

  async connect(): Promise<void> {
    const { pubs, devices, staying } = this.options
    const how = { persistent: true, subscribe: true }
    await this.fleet.open(0, pubs, { persistent: false, subscribe: false })
    await this.fleet.open(pubs, pubs + devices, how)
    await this.fleet.open(pubs + devices, pubs + devices + staying, { ...how, ports: this.ports })
  }

  /** Round the devices, each message at its due time. */
  startSending(): NodeJS.Timeout {
    const rate = this.options.rate > 0 ? this.options.rate : RATE_OF_FAILOVER
    const stepUs = 1e6 / rate
    let dueUs = nowUs()
    let device = 0
    return setInterval(() => {
      const now = nowUs()
      for (; dueUs <= now && this.sent - this.acked < UNACKNOWLEDGED_MAX; dueUs += stepUs) {
        this.send(device, dueUs)
        device = (device + 1) % this.messages.length
      }
    }, SEND_EVERY_MS)
  }

  /** Resolves when all devices are connected again. */
  async killAndReturn(): Promise<Outage> {
    const { kill, devices, pubs, connectSeconds } = this.options
    this.isKilled = true
    this.killedUs = nowUs()
    if (kill > 0) process.kill(kill, 'SIGKILL')
    const isCut = await waitUntil(() => this.cut === devices, connectSeconds * 1000)
    if (!isCut) throw new Error(`${devices - this.cut} of ${devices} connections outlived their node`)
    const closedSeconds = (nowUs() - this.killedUs) / 1e6
    await this.fleet.open(pubs, pubs + devices, {
      persistent: true,
      subscribe: false,
      ports: this.ports,
      retries: true,
    })
    this.isBack = true
    this.lastUs = nowUs()
    const returned = this.fleet.connections.slice(pubs, pubs + devices)
    return {
      closedSeconds: rounded(closedSeconds, 3),
      backSeconds: rounded((this.lastUs - this.killedUs) / 1e6, 3),
      sessionsPresent: returned.filter((connection) => connection.sessionPresent).length,
    }
  }

  message(connection: Connection, bytes: Buffer, start: number, end: number, receivedUs: number): void {
    const device = connection.number - this.options.pubs
    if (!this.receiver.accept(connection, device, bytes, start, end)) return
    this.lastUs = receivedUs
    if (this.isKilled && device >= this.options.devices)
      this.stayingLatency.record(receivedUs - readSentUs(bytes, this.receiver.markerAt))
  }

  acknowledged(_connection: Connection, _packetId: number, receivedUs: number): void {
    this.acked += 1
    this.lastUs = receivedUs
  }

  lost(connection: Connection, reason: string): void {
    const device = connection.number - this.options.pubs
    if (this.isKilled && !this.isBack && device >= 0 && device < this.options.devices) {
      this.cut += 1
      this.receiver.tracker.allowRepeats(device)
    } else this.faults.push(`connection ${connection.number} lost: ${reason}`)
  }

  report(outage: Outage, drained: boolean, drainedSeconds: number): Result {
    const { options, fleet, receiver } = this
    const counts = countsOf(receiver, {
      sent: this.sent,
      acked: this.acked,
      expected: this.sent,
      resent: fleet.resent,
    })
    const forgotten = options.devices - outage.sessionsPresent
    const sessions = forgotten === 0 ? [] : [`${forgotten} sessions were not there any more`]
    const problems = problemsOf(counts, [...this.faults.slice(0, 3), ...sessions])
    return {
      mode: 'failover',
      label: options.label,
      ok: problems.length === 0,
      problems,
      devices: options.devices,
      staying: options.staying,
      pubs: options.pubs,
      ...outage,
      drainedSeconds: rounded(drainedSeconds, 3),
      drained,
      retried: fleet.retried,
      stayingLatencyMs: this.stayingLatency.summaryMs(),
      ...counts,
      repeated: receiver.tracker.repeated,
    }
  }

  private send(device: number, sentUs: number): void {
    const stamp = this.stamp
    const publisher = device % this.options.pubs
    const sequence = this.sequences[device]! + 1
    this.sequences[device] = sequence
    stamp.publisher = publisher
    stamp.sequence = sequence
    stamp.sentUs = sentUs
    this.fleet.connections[publisher]!.publish(this.messages[device]!, stamp)
    this.sent += 1
  }
}
