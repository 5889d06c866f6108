/**
 * Calls of a chat as its apps make them, over MQTT and HTTP: a process of its own, which reads its {@link ChatLoad} as
 * JSON from the file of its first argument and prints its result as one JSON object.
 *
 * The calls come in open loop: each has its time, and its latency counts from that, whether it could be made then or
 * had to wait for the others.
 */
import fs from 'node:fs'
import http from 'node:http'
import mqtt, { type MqttClient } from 'mqtt'
import { Histogram } from '../../clients/load/histogram.ts'
import { within } from '../harness/wait.ts'

export type ChatPerson = { uid: string; token: string }

/** One call, or with `pages` all pages of a list, each asked for by the cursor of the one before. */
export type ChatCall = { person: number; operation: string; params: object; pages?: true }

export type ChatLoad = {
  mqttPort: number
  httpPort: number
  people: ChatPerson[]
  /** People before this number call over MQTT, the others over HTTP. */
  overMqtt: number
  /** Made one after the other as fast as they are answered, `width` at a time: not measured. */
  prepare: ChatCall[]
  width: number
  /** Made at `perSecond`, round and round for `seconds`, after `warmup` seconds; none when empty. */
  calls: ChatCall[]
  perSecond: number
  warmup: number
  seconds: number
}

const CALL_MS_MAX = 30_000
const DEVICE = 'gen'

/** Makes a call as a person; rejects with the code of a refusal. */
type Caller = (operation: string, params: object) => Promise<unknown>

class MqttCaller implements Disposable {
  readonly #client: MqttClient
  readonly #uid: string
  readonly #waiting = new Map<string, { resolve(value: unknown): void; reject(error: Error): void }>()
  #refs = 0

  private constructor(client: MqttClient, uid: string) {
    this.#client = client
    this.#uid = uid
    client.on('message', (_topic, payload) => this.#answered(JSON.parse(String(payload))))
  }

  static async open(port: number, { uid, token }: ChatPerson): Promise<MqttCaller> {
    const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, {
      ...{ clientId: `${uid}/${DEVICE}`, username: uid, password: token, protocolVersion: 5 },
      ...{ reconnectPeriod: 0 },
    })
    const caller = new MqttCaller(client, uid)
    await client.subscribeAsync(`u/${uid}/reply/${DEVICE}`, { qos: 1 })
    return caller
  }

  call(operation: string, params: object): Promise<unknown> {
    const ref = String(++this.#refs)
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    this.#waiting.set(ref, { resolve, reject })
    const payload = JSON.stringify({ ...params, ref })
    this.#client.publishAsync(`u/${this.#uid}/call/${operation}`, payload, { qos: 1 }).catch(reject)
    return promise
  }

  #answered(reply: { kind: string; ref?: string; code?: string; result?: unknown }): void {
    const waiting = this.#waiting.get(reply.ref ?? '')
    if (waiting === undefined) return
    this.#waiting.delete(reply.ref!)
    if (reply.kind === 'refused') waiting.reject(new Error(reply.code))
    else waiting.resolve(reply.result)
  }

  [Symbol.dispose](): void {
    this.#client.end(true)
  }
}

const agent = new http.Agent({ keepAlive: true })

function httpCall(port: number, token: string, operation: string, params: object): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>()
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const request = http.request(
    { port, host: '127.0.0.1', path: `/v1/${operation}`, method: 'POST', agent, headers },
    (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('error', reject)
      response.on('end', () => {
        const body = Buffer.concat(parts).toString()
        if (response.statusCode === 200) resolve(JSON.parse(body))
        else reject(new Error(`${operation}: ${response.statusCode} ${body}`))
      })
    },
  )
  request.on('error', reject)
  request.end(JSON.stringify(params))
  return promise
}

async function makeOne(
  { person, operation, params, pages }: ChatCall,
  callers: readonly Caller[],
): Promise<void> {
  let cursor: string | undefined
  do {
    const page = { ...params, ...(cursor !== undefined && { cursor }) }
    const answer = (await callers[person]!(operation, page)) as { cursor?: string }
    cursor = pages ? answer.cursor : undefined
  } while (cursor !== undefined)
}

/** Makes all calls, so many at a time, each as soon as one before is answered. */
async function makeAll(calls: readonly ChatCall[], width: number, callers: readonly Caller[]): Promise<void> {
  let next = 0
  const work = async () => {
    for (let call = calls[next++]; call !== undefined; call = calls[next++]) {
      await makeOne(call, callers)
    }
  }
  await Promise.all(Array.from({ length: width }, work))
}

type Measured = { histogram: Histogram; byOperation: Map<string, Histogram>; problems: string[] }

async function makeOnTime(load: ChatLoad, callers: readonly Caller[]): Promise<Measured> {
  const measured: Measured = { histogram: new Histogram(), byOperation: new Map(), problems: [] }
  const { calls, perSecond, warmup, seconds } = load
  const total = Math.ceil((warmup + seconds) * perSecond)
  const startAt = performance.now()
  const answers: Promise<void>[] = []
  const make = async (number: number) => {
    const { operation } = calls[number % calls.length]!
    const dueAt = startAt + (number * 1000) / perSecond
    await makeOne(calls[number % calls.length]!, callers).catch((error: Error) => {
      measured.problems.push(`${operation}: ${error.message}`)
    })
    if (number < warmup * perSecond) return
    const us = (performance.now() - dueAt) * 1000
    measured.histogram.record(us)
    const own = measured.byOperation.get(operation) ?? new Histogram()
    measured.byOperation.set(operation, own)
    own.record(us)
  }
  for (let made = 0; made < total; ) {
    const due = Math.min(total, Math.floor(((performance.now() - startAt) * perSecond) / 1000) + 1)
    while (made < due) answers.push(make(made++))
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await within(Promise.all(answers), 'the answers to the last calls', CALL_MS_MAX)
  return measured
}

async function main(): Promise<void> {
  const load = JSON.parse(fs.readFileSync(process.argv[2]!, 'utf8')) as ChatLoad
  using connections = new DisposableStack()
  const callers: Caller[] = []
  for (const [number, person] of load.people.entries()) {
    if (number < load.overMqtt) {
      const caller = connections.use(await MqttCaller.open(load.mqttPort, person))
      callers.push((operation, params) => caller.call(operation, params))
    } else {
      callers.push((operation, params) => httpCall(load.httpPort, person.token, operation, params))
    }
  }
  await makeAll(load.prepare, load.width, callers)
  if (load.calls.length === 0) return print({ ok: true, problems: [] })
  const { histogram, byOperation, problems } = await makeOnTime(load, callers)
  print({
    ok: problems.length === 0,
    problems: [...new Set(problems)].slice(0, 10),
    latencyMs: histogram.summaryMs(),
    byOperation: Object.fromEntries([...byOperation].map(([name, own]) => [name, own.summaryMs()])),
  })
}

function print(result: object): void {
  process.stdout.write(`${JSON.stringify(result)}\n`)
  agent.destroy()
}

await main()
