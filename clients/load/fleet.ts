import fs from 'node:fs'
import { nowUs } from './clock.ts'
import { Connection, type ConnectionEvents, type Endpoint } from './connection.ts'
import { encodeConnect, encodeSubscribe } from './frames.ts'
import { Histogram } from './histogram.ts'
import type { Options } from './options.ts'
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

export interface OpenOptions {
  persistent: boolean
  subscribe: boolean
}

/** All connections of a run, publishers first, and how they come and go. */
export class Fleet {
  readonly connections: Connection[]
  readonly connectTimes = new Histogram()
  private readonly options: Options
  private readonly members: readonly Member[]
  private readonly passwords: string[]

  constructor(options: Options, members: readonly Member[], events: ConnectionEvents) {
    this.options = options
    this.members = members
    const turn = new Turn()
    this.connections = members.map((_, number) => new Connection(number, events, turn))
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
      while (next < to && failure === undefined) await this.openOne(next++, how)
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
    for (const connection of this.connections) connection.destroy()
  }

  get resent(): number {
    return this.connections.reduce((sum, connection) => sum + connection.resent, 0)
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
      this.endpointOf(number),
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

  private endpointOf(number: number): Endpoint {
    const { host, port, sources, v5 } = this.options
    const spread = host.startsWith('127.') ? { localAddress: `127.0.0.${1 + (number % sources)}` } : {}
    return { host, port, version: v5 ? 5 : 4, ...spread }
  }
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
