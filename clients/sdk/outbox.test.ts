import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { WochatError } from '../../protocol/errors.ts'
import { Outbox, type OutgoingRequest, type Publisher } from './outbox.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** A connection that writes down what is published and acknowledges when told. */
class Recorder implements Publisher {
  readonly inFlightMax: number
  readonly published: string[] = []
  readonly #settle: ((refusal: WochatError | null) => void)[] = []

  constructor(inFlightMax = 64) {
    this.inFlightMax = inFlightMax
  }

  publish(_topic: string, payload: string, settled: (refusal: WochatError | null) => void): void {
    this.published.push(payload)
    this.#settle.push(settled)
  }

  acknowledgeNext(refusal: WochatError | null = null): void {
    this.#settle.shift()?.(refusal)
  }
}

const request = (key: string, options: Partial<OutgoingRequest> = {}) => ({
  key,
  topic: 'u/alice/send',
  payload: key,
  ordered: false,
  repeatable: true,
  timeoutMs: 60_000,
  ...options,
})

describe('answers', () => {
  test('a request waits for the connection, then for its answer', async () => {
    const outbox = new Outbox()
    const answer = outbox.request(request('a'))
    const connection = new Recorder()
    outbox.connected(connection)
    connection.acknowledgeNext()
    outbox.accept('a', { seq: 7 })
    expect(await answer).toEqual({ seq: 7 })
    expect(outbox.size).toBe(0)
  })

  test('a final refusal rejects with its code', async () => {
    const outbox = new Outbox()
    outbox.connected(new Recorder())
    const answer = outbox.request(request('a'))
    outbox.refuse('a', new WochatError('not_friends'))
    await expect(answer).rejects.toMatchObject({ code: 'not_friends' })
  })

  test('a refusal that only the acknowledgement tells rejects too', async () => {
    const outbox = new Outbox()
    const connection = new Recorder()
    outbox.connected(connection)
    const answer = outbox.request(request('a'))
    const rejected = expect(answer).rejects.toMatchObject({ code: 'topic_denied' })
    connection.acknowledgeNext(new WochatError('topic_denied'))
    await vi.advanceTimersByTimeAsync(2000)
    await rejected
  })

  test('a retryable refusal is sent again after its retryAfterMs', async () => {
    const outbox = new Outbox()
    const connection = new Recorder()
    outbox.connected(connection)
    const answer = outbox.request(request('a'))
    outbox.refuse('a', new WochatError('busy', undefined, { retryAfterMs: 3000 }))
    await vi.advanceTimersByTimeAsync(2999)
    expect(connection.published).toEqual(['a'])
    await vi.advanceTimersByTimeAsync(1)
    expect(connection.published).toEqual(['a', 'a'])
    outbox.accept('a', 'stored')
    expect(await answer).toBe('stored')
  })

  test('sends wait together when one is refused for a while, calls go on', async () => {
    const outbox = new Outbox()
    const connection = new Recorder(2)
    outbox.connected(connection)
    for (const key of ['s1', 's2', 's3']) void outbox.request(request(key, { ordered: true }))
    outbox.refuse('s1', new WochatError('rate_limited', undefined, { retryAfterMs: 1000 }))
    outbox.refuse('s2', new WochatError('rate_limited', undefined, { retryAfterMs: 1000 }))
    connection.acknowledgeNext()
    connection.acknowledgeNext()
    void outbox.request(request('call'))
    expect(connection.published).toEqual(['s1', 's2', 'call'])
    connection.acknowledgeNext()
    await vi.advanceTimersByTimeAsync(1000)
    expect(connection.published).toEqual(['s1', 's2', 'call', 's1', 's2'])
  })

  test('a request that is refused as busy to its end rejects as busy', async () => {
    const outbox = new Outbox()
    outbox.connected(new Recorder())
    const answer = outbox.request(request('a', { timeoutMs: 5000 }))
    const rejected = expect(answer).rejects.toMatchObject({ code: 'busy' })
    outbox.refuse('a', new WochatError('busy', undefined, { retryAfterMs: 60_000 }))
    await vi.advanceTimersByTimeAsync(5000)
    await rejected
  })

  test('a request without an answer rejects as timeout', async () => {
    const outbox = new Outbox()
    const rejected = expect(outbox.request(request('a', { timeoutMs: 5000 }))).rejects.toMatchObject({
      code: 'timeout',
    })
    await vi.advanceTimersByTimeAsync(5000)
    await rejected
    expect(outbox.size).toBe(0)
  })
})

describe('a lost connection', () => {
  test('everything without an answer is sent again in its order, acknowledged or not', async () => {
    const outbox = new Outbox()
    const first = new Recorder()
    outbox.connected(first)
    const answers = ['a', 'b', 'c'].map((key) => outbox.request(request(key)))
    first.acknowledgeNext()
    outbox.accept('b', 'stored b')
    outbox.disconnected()
    const second = new Recorder()
    outbox.connected(second)
    expect(second.published).toEqual(['a', 'c'])
    outbox.accept('a', 'stored a')
    outbox.accept('c', 'stored c')
    expect(await Promise.all(answers)).toEqual(['stored a', 'stored b', 'stored c'])
  })

  test('a request that may not be repeated rejects as disconnected, unless it was never sent', async () => {
    const outbox = new Outbox()
    outbox.connected(new Recorder(1))
    const sent = outbox.request(request('a', { repeatable: false }))
    const unsent = outbox.request(request('b', { repeatable: false }))
    const rejected = expect(sent).rejects.toMatchObject({ code: 'disconnected' })
    outbox.disconnected()
    await rejected
    outbox.connected(new Recorder())
    outbox.accept('b', 'done')
    expect(await unsent).toBe('done')
  })
})

describe('bounds', () => {
  test('no more is in flight than the connection takes', () => {
    const outbox = new Outbox()
    const connection = new Recorder(2)
    outbox.connected(connection)
    for (const key of ['a', 'b', 'c']) void outbox.request(request(key))
    expect(connection.published).toEqual(['a', 'b'])
    connection.acknowledgeNext()
    expect(connection.published).toEqual(['a', 'b', 'c'])
  })

  test('too many requests are refused at once', async () => {
    const outbox = new Outbox()
    for (let i = 0; i < 4096; i++) void outbox.request(request(`r${i}`)).catch(() => {})
    await expect(outbox.request(request('one more'))).rejects.toMatchObject({ code: 'too_many_waiting' })
    outbox.close(new Error('end of the test'))
  })

  test('two requests of one id at a time are refused as id_conflict', async () => {
    const outbox = new Outbox()
    const first = outbox.request(request('a'))
    await expect(outbox.request(request('a'))).rejects.toMatchObject({ code: 'id_conflict' })
    outbox.accept('a', 1)
    expect(await first).toBe(1)
  })

  test('closing fails every request with the reason', async () => {
    const outbox = new Outbox()
    const answer = outbox.request(request('a'))
    outbox.close(new WochatError('revoked'))
    await expect(answer).rejects.toMatchObject({ code: 'revoked' })
  })
})
