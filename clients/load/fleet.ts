/** The connections of a run: who they are, and how they are opened, lost and closed. */
import fs from 'node:fs'
import { nowUs, sleepMs } from './clock.ts'
import { Connection, type ConnectionEvents, type Endpoint } from './connection.ts'
import { encodeConnect, encodeSubscribe } from './frames.ts'
import { Histogram } from './histogram.ts'
import { type Options, UsageError } from './options.ts'
import { expandTemplate, type TemplateNumbers } from './template.ts'
import { Turn } from './turn.ts'

const CLOSE_MS_MAX = 5_000
const CLOSING_AT_ONCE = 500

/** Who a connection is; numbers count from 0 within publishers, subscribers and groups. */
export interface Member {
  role: 'publisher' | 'subscriber'
  number: number
  group: number
}

interface OpenOptions {
  persistent: boolean
  subscribe: boolean
  /** In turn, instead of those of the options. */
  ports?: readonly number[]
  /** Tries again whatever fails, until `--connect-seconds` are over. */
  retries?: boolean
}

/** Between two tries of one connection. */
const RETRY_MS = 50

/** All connections of a run, publishers first, and how they come and go. */
export class Fleet {
  readonly connections: Connection[]
  readonly connectTimes = new Histogram()
  private readonly options: Options
  private readonly members: readonly Member[]
  private readonly passwords: string[]
  private readonly subscriberPorts: readonly number[]
  private isDestroyed = false
  /** Connections that failed and were tried again. */
  retried = 0

  constructor(options: Options, members: readonly Member[], events: ConnectionEvents) {
    this.options = options
    this.members = members
    const turn = new Turn()
    this.connections = members.map((_, number) => new Connection(number, events, turn))
    this.subscriberPorts =
      options.subPorts === '' ? [options.port] : parsePorts('sub-ports', options.subPorts)
    this.passwords = options.passwordsFile === '' ? [] : readLines(options.passwordsFile)
  }

  /**
   * Opens the connections [from, to), at most `--connecting` at a time, and returns the seconds it took.
   * @throws Error naming the first refusal; the others are dropped.
   */
  async open(from: number, to: number, how: OpenOptions): Promise<number> {
    const startedUs = nowUs()
    let next = from
    let failure: Error | undefined
    const openOneByOne = async () => {
      while (next < to && failure === undefined) await this.openOneOrRetry(next++, how)
    }
    const lanes = Array.from({ length: Math.min(this.options.connecting, to - from) }, () =>
      openOneByOne().catch((error: Error) => {
        failure ??= error
      }),
    )
    const outOfTime = setTimeout(() => {
      failure ??= new Error(`not all ready within ${this.options.connectSeconds} s`)
      this.destroy()
    }, this.options.connectSeconds * 1000)
    await Promise.all(lanes)
    clearTimeout(outOfTime)
    if (failure !== undefined) {
      this.destroy()
      throw new Error(`connecting failed: ${failure.message}`)
    }
    return (nowUs() - startedUs) / 1e6
  }

  async close(from = 0, to = this.connections.length): Promise<void> {
    for (let start = from; start < to; start += CLOSING_AT_ONCE) {
      const closing = this.connections.slice(start, Math.min(start + CLOSING_AT_ONCE, to))
      const tooLong = setTimeout(() => {
        for (const connection of closing) connection.destroy()
      }, CLOSE_MS_MAX)
      await Promise.all(closing.map((connection) => connection.close()))
      clearTimeout(tooLong)
    }
  }

  destroy(): void {
    this.isDestroyed = true
    for (const connection of this.connections) connection.destroy()
  }

  get resent(): number {
    return this.connections.reduce((sum, connection) => sum + connection.resent, 0)
  }

  private async openOneOrRetry(number: number, how: OpenOptions): Promise<void> {
    for (;;) {
      try {
        await this.openOne(number, how)
        return
      } catch (error) {
        if (how.retries !== true || this.isDestroyed) throw error
        this.retried += 1
        await sleepMs(RETRY_MS)
      }
    }
  }

  private async openOne(number: number, how: OpenOptions): Promise<void> {
    const { options } = this
    const member = this.members[number]!
    const version = options.v5 ? 5 : 4
    const startedUs = nowUs()
    const connect = encodeConnect({
      ...this.identityOf(number, member),
      version,
      keepAliveSeconds: options.keepAlive,
      persistent: how.persistent && member.role === 'subscriber',
    })
    const subscribes = how.subscribe && member.role === 'subscriber'
    await this.connections[number]!.open(
      this.endpointOf(number, member, how.ports),
      connect,
      subscribes ? this.subscribeOf(number, member) : undefined,
    )
    this.connectTimes.record(nowUs() - startedUs)
  }

  private identityOf(number: number, member: Member) {
    const { options } = this
    const [id, user] =
      member.role === 'publisher' ? [options.pubId, options.pubUser] : [options.subId, options.subUser]
    const numbers = numbersOf(number, member)
    const password = this.passwords[number % this.passwords.length] ?? options.password
    return {
      clientId: expandTemplate(id, numbers, options.pad),
      username: expandTemplate(user, numbers, options.pad),
      password,
    }
  }

  private subscribeOf(number: number, member: Member): Buffer {
    const { v5, subTopic, pad, qos } = this.options
    return encodeSubscribe(v5 ? 5 : 4, 1, expandTemplate(subTopic, numbersOf(number, member), pad), qos)
  }

  private endpointOf(number: number, { role, number: place }: Member, given?: readonly number[]): Endpoint {
    const { host, sources, v5 } = this.options
    const ports = given ?? (role === 'publisher' ? [this.options.port] : this.subscriberPorts)
    const port = ports[place % ports.length]!
    const spread = host.startsWith('127.') ? { localAddress: `127.0.0.${1 + (number % sources)}` } : {}
    return { host, port, version: v5 ? 5 : 4, ...spread }
  }
}

/** @throws UsageError naming the option. */
export function parsePorts(option: string, list: string): number[] {
  const ports = list.split(',').map(Number)
  const isPort = (port: number) => Number.isInteger(port) && port > 0 && port < 65_536
  if (!ports.every(isPort)) throw new UsageError(`--${option} ${list}: ports expected, comma separated`)
  return ports
}

export function readLines(file: string): string[] {
  return fs
    .readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
}

function numbersOf(number: number, member: Member): TemplateNumbers {
  const role = member.role === 'publisher' ? { p: member.number } : { s: member.number }
  return { ...role, g: member.group, n: number }
}
