/** Questions of one node to another, and their answers. */
import { asWochatError, type ErrorBody, WochatError } from '../../../protocol/errors.ts'
import { type BusAnswer, NodeAwayError, type NodeId } from '../bus.ts'
import type { Frame } from '../frame.ts'
import type { BusCounters } from './bus-counters.ts'

const TIMEOUT_MS = 5000
/** Questions without an answer yet, and questions of others that are being answered. */
const OPEN_MAX = 1000
const ANSWERING_MAX = 1000

type Open = {
  node: NodeId
  resolve: (value: unknown) => void
  reject: (error: Error) => void
  timer: NodeJS.Timeout
}

export class Questions {
  readonly #node: NodeId
  readonly #ring: (node: NodeId, frame: Frame) => void
  readonly #counters: BusCounters
  readonly #answers = new Map<string, BusAnswer>()
  readonly #open = new Map<number, Open>()
  #lastId = 0
  #answering = 0

  constructor(node: NodeId, ring: (node: NodeId, frame: Frame) => void, counters: BusCounters) {
    this.#node = node
    this.#ring = ring
    this.#counters = counters
  }

  answer(question: string, answer: BusAnswer): void {
    this.#answers.set(question, answer)
  }

  async ask(node: NodeId, question: string, params: unknown, timeoutMs = TIMEOUT_MS): Promise<unknown> {
    if (node === this.#node) return this.#find(question)(params, node)
    if (this.#open.size >= OPEN_MAX) throw new WochatError('busy')
    const id = ++this.#lastId
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#open.delete(id)
        this.#counters.questionsTimedOut++
        reject(new NodeAwayError(`${node} did not answer ${question} within ${timeoutMs} ms`))
      }, timeoutMs)
      this.#open.set(id, { node, resolve, reject, timer })
      this.#ring(node, { kind: 'question', id, name: question, json: toJson(params) })
    })
  }

  /** A question of another node. */
  async asked({ id, name, json }: Frame & { kind: 'question' }, from: NodeId): Promise<void> {
    let reply: Frame
    try {
      if (this.#answering >= ANSWERING_MAX) throw new WochatError('busy')
      this.#answering++
      try {
        const result = await this.#find(name)(JSON.parse(json), from)
        reply = { kind: 'answer', id, ok: true, json: toJson(result) }
      } finally {
        this.#answering--
      }
    } catch (error) {
      reply = { kind: 'answer', id, ok: false, json: toJson(asWochatError(error).toWire()) }
    }
    this.#ring(from, reply)
  }

  answered({ id, ok, json }: Frame & { kind: 'answer' }, from: NodeId): void {
    const open = this.#open.get(id)
    if (open?.node !== from) return
    this.#open.delete(id)
    clearTimeout(open.timer)
    if (ok) open.resolve(JSON.parse(json))
    else open.reject(readError(json))
  }

  /** No answer will come of this node. */
  nodeGone(node: NodeId): void {
    for (const [id, open] of this.#open) {
      if (open.node !== node) continue
      this.#open.delete(id)
      clearTimeout(open.timer)
      open.reject(new NodeAwayError(`${node} has gone`))
    }
  }

  close(): void {
    for (const node of new Set([...this.#open.values()].map((open) => open.node))) this.nodeGone(node)
  }

  #find(question: string): BusAnswer {
    const answer = this.#answers.get(question)
    if (answer === undefined) throw new WochatError('unknown_operation', `no node answers ${question}`)
    return answer
  }
}

/** What has no JSON, such as a function without a result, is null. */
function toJson(value: unknown): string {
  return JSON.stringify(value) ?? 'null'
}

function readError(json: string): WochatError {
  const { code, message, retryAfterMs, details } = JSON.parse(json) as ErrorBody
  return new WochatError(code, message, { ...(retryAfterMs !== undefined && { retryAfterMs }), details })
}
