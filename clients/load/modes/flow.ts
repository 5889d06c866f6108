/** `flow` and `latency`: publishers write to subscribers, as fast as they are answered or at a rate. */
import { nowUs, sleepMs, waitUntil } from '../clock.ts'
import type { Connection, ConnectionEvents } from '../connection.ts'
import { Fleet, type Member, readLines } from '../fleet.ts'
import { Histogram } from '../histogram.ts'
import { PUBLISHERS_MAX, readSentUs } from '../marker.ts'
import { type Options, UsageError } from '../options.ts'
import { buildMessage, type Message } from '../payload.ts'
import { CpuMeter, type Parts, rssKbOf } from '../process-stats.ts'
import { Receiver } from '../receiver.ts'
import { type Result, rounded } from '../result.ts'
import { expandTemplate } from '../template.ts'
import { countsOf, problemsOf } from '../verdict.ts'
import { Windows } from '../windows.ts'

/** In open loop nobody waits for credit; this bounds what a publisher may have under way when the server falls behind. */
const OPEN_LOOP_UNDER_WAY_MAX = 8_192

/** Groups of publishers and subscribers; every message of a group's publishers goes to all of its subscribers. */
export async function runFlow(options: Options, pids: readonly number[], parts: Parts): Promise<Result> {
  const flow = new Flow(options)
  const { fleet } = flow
  try {
    await fleet.open(0, fleet.connections.length, { persistent: options.persistent, subscribe: true })
    await sleepMs(options.settle * 1000)
    flow.start()
    await sleepMs(options.warmup * 1000, flow.failed)
    flow.measuring = true
    const startedUs = nowUs()
    const meter = new CpuMeter(pids, parts)
    await sleepMs(options.seconds * 1000, flow.failed)
    flow.measuring = false
    const seconds = (nowUs() - startedUs) / 1e6
    const cpu = meter.stop()
    flow.stop()
    const drained = await waitUntil(() => flow.isDrained(), options.drain * 1000, flow.failed)
    await sleepMs(options.settle * 1000)
    return {
      ...flow.report(seconds),
      drained,
      cpuPercent: cpu,
      ...(pids.length === 0 ? {} : { rssMb: rounded(rssKbOf(pids) / 1024, 1) }),
    }
  } finally {
    await fleet.close()
  }
}

class Flow implements ConnectionEvents {
  readonly fleet: Fleet
  measuring = false
  private running = false
  private readonly options: Options
  private readonly publishers: number
  private readonly receiver: Receiver
  private readonly windows: Windows
  private readonly messages: Message[]
  private readonly latency = new Histogram()
  private readonly ackLatency = new Histogram()
  private readonly stamp = { publisher: 0, sequence: 0, sentUs: 0 }
  private readonly failure = new AbortController()
  private readonly lostConnections: string[] = []
  private published = 0
  private acknowledgedInTime = 0
  private deliveredInTime = 0
  private ackOrderFaults = 0
  private lagUsMax = 0

  constructor(options: Options) {
    this.options = options
    const { groups, pubs, subs } = options
    this.publishers = groups * pubs
    if (this.publishers > PUBLISHERS_MAX) throw new UsageError(`more than ${PUBLISHERS_MAX} publishers`)
    this.fleet = new Fleet(
      options,
      [...membersOf('publisher', groups, pubs), ...membersOf('subscriber', groups, subs)],
      this,
    )
    this.receiver = new Receiver({
      run: options.run,
      streams: groups * subs * pubs,
      streamOf: (receiver, publisher) =>
        Math.floor(publisher / pubs) === Math.floor(receiver / subs)
          ? receiver * pubs + (publisher % pubs)
          : -1,
    })
    this.windows = new Windows({
      publishers: this.publishers,
      size: options.rate > 0 ? OPEN_LOOP_UNDER_WAY_MAX : options.window,
      receivers: subs,
      ackCredit: options.ackCredit,
    })
    this.messages = buildMessages(options, this.publishers)
  }

  /** Aborted when a connection was lost. */
  get failed(): AbortSignal {
    return this.failure.signal
  }

  start(): void {
    this.running = true
    if (this.options.rate > 0) this.startOpenLoop()
    else for (let publisher = 0; publisher < this.publishers; publisher++) this.sendWhileRoom(publisher)
  }

  stop(): void {
    this.running = false
  }

  isDrained(): boolean {
    return this.windows.acked === this.windows.sent && this.receiver.tracker.delivered >= this.expected
  }

  message(connection: Connection, bytes: Buffer, start: number, end: number, receivedUs: number): void {
    const { receiver } = this
    if (!receiver.accept(connection, connection.number - this.publishers, bytes, start, end)) return
    if (this.measuring) {
      this.deliveredInTime += 1
      this.latency.record(receivedUs - readSentUs(bytes, receiver.markerAt))
    }
    this.windows.deliver(receiver.publisher, receiver.sequence)
    this.sendWhileRoom(receiver.publisher)
  }

  acknowledged(connection: Connection, packetId: number, receivedUs: number): void {
    const publisher = connection.number
    const sequence = this.windows.acknowledge(publisher)
    // The first packet id of a connection is 1, so ids and sequences run in step.
    if (packetId !== ((sequence - 1) % 65_535) + 1) this.ackOrderFaults += 1
    if (this.measuring) {
      this.acknowledgedInTime += 1
      const sentUs = this.windows.sentUsOf(publisher, sequence)
      if (sentUs >= 0) this.ackLatency.record(receivedUs - sentUs)
    }
    this.sendWhileRoom(publisher)
  }

  lost(connection: Connection, reason: string): void {
    const role = connection.number < this.publishers ? 'publisher' : 'subscriber'
    this.lostConnections.push(`${role} connection ${connection.number} lost: ${reason}`)
    this.running = false
    this.failure.abort()
  }

  report(seconds: number): Result {
    const { options, windows } = this
    const counts = countsOf(this.receiver, {
      sent: windows.sent,
      acked: windows.acked,
      expected: this.expected,
      resent: this.fleet.resent,
    })
    const problems = problemsOf(counts, this.lostConnections.slice(0, 3))
    const perSecond = (count: number) => rounded(count / seconds)
    return {
      mode: options.mode,
      label: options.label,
      ok: problems.length === 0,
      problems,
      groups: options.groups,
      pubs: options.pubs,
      subs: options.subs,
      ...(options.rate > 0 ? { rate: options.rate } : { window: options.window }),
      qos: options.qos,
      bytes: options.bytes,
      seconds: rounded(seconds, 3),
      deliveriesPerSecond: perSecond(this.deliveredInTime),
      publishesPerSecond: perSecond(this.published),
      acksPerSecond: perSecond(this.acknowledgedInTime),
      latencyMs: this.latency.summaryMs(),
      ackMs: this.ackLatency.summaryMs(),
      ...(options.rate > 0 ? { scheduleLagMs: rounded(this.lagUsMax / 1000, 3) } : {}),
      ...counts,
      ackOrderFaults: this.ackOrderFaults,
    }
  }

  private get expected(): number {
    return this.windows.sent * this.options.subs
  }

  private sendWhileRoom(publisher: number): void {
    if (!this.running || this.options.rate > 0) return
    while (this.windows.hasRoom(publisher)) this.send(publisher, nowUs())
  }

  private send(publisher: number, sentUs: number): void {
    const stamp = this.stamp
    stamp.publisher = publisher
    stamp.sentUs = sentUs
    stamp.sequence = this.windows.send(publisher, sentUs)
    this.fleet.connections[publisher]!.publish(this.messages[publisher]!, stamp)
    if (this.measuring) this.published += 1
    if (this.options.qos === 0) this.windows.acknowledge(publisher)
  }

  /**
   * Sends each message at its due time, round the publishers. The loop spins instead of sleeping, since a timer is late
   * by up to 2 ms and would be measured as the server's latency; the generator has its core for itself.
   */
  private startOpenLoop(): void {
    const stepUs = 1e6 / this.options.rate
    let dueUs = nowUs()
    let publisher = 0
    const turn = () => {
      if (!this.running) return
      const now = nowUs()
      while (dueUs <= now && this.windows.hasRoom(publisher)) {
        if (this.measuring) this.lagUsMax = Math.max(this.lagUsMax, now - dueUs)
        this.send(publisher, dueUs)
        publisher = (publisher + 1) % this.publishers
        dueUs += stepUs
      }
      setImmediate(turn)
    }
    turn()
  }
}

function membersOf(role: Member['role'], groups: number, each: number): Member[] {
  return Array.from({ length: groups * each }, (_, number) => ({
    role,
    number,
    group: Math.floor(number / each),
  }))
}

/** One per publisher: its topic may name it, its target is its group. */
function buildMessages(options: Options, publishers: number): Message[] {
  const targets = options.targetsFile === '' ? [] : readLines(options.targetsFile)
  return Array.from({ length: publishers }, (_, publisher) => {
    const group = Math.floor(publisher / options.pubs)
    return buildMessage({
      version: options.v5 ? 5 : 4,
      qos: options.qos,
      run: options.run,
      topic: expandTemplate(
        options.pubTopic,
        { p: publisher, g: group, t: group, n: publisher },
        options.pad,
      ),
      template: options.payload,
      target: group,
      to: targets[group % targets.length],
      pad: options.pad,
      bytes: options.bytes,
    })
  })
}
