import { expect, test } from 'vitest'
import { type ErrorCode, WochatError } from '../../protocol/errors.ts'
import type { DeviceId, LogId, UserId } from '../../protocol/ids.ts'
import { bodyHash } from '../store/body-hash.ts'
import {
  ACCEPT,
  applyVerdict,
  type OpenMessage,
  type Refusal,
  type ScreenedMessage,
  type Screening,
  type Verdict,
} from './screening.ts'
import { ScreeningOrder } from './screening-order.ts'

type Message = ScreenedMessage & OpenMessage

const messageOf = (text: string): Message => ({
  ...{ uid: 'alice' as UserId, device: 'phone' as DeviceId, id: text, log: 'd:alice:bob' as LogId },
  ...{ peer: 'bob' as UserId, type: 'text', bodyJson: JSON.stringify({ text }), marks: null },
})

/** A screening that answers at once, but for messages that are held until they are released. */
function createScreening() {
  const held = new Map<string, PromiseWithResolvers<Verdict>>()
  const hold = (id: string) => held.set(id, Promise.withResolvers())
  const screen = ({ id }: ScreenedMessage) => held.get(id!)?.promise ?? ACCEPT
  const judged: (Refusal | null)[] = []
  const judgeAuthor = async () => judged.shift() ?? null
  return { held, hold, judged, screening: { screen, judgeAuthor } }
}

/** What was decided about messages, each as its id and its verdict. */
function createOrder(screening: Screening) {
  const decided: string[] = []
  const order = new ScreeningOrder<Message>(screening, ({ id }, verdict) =>
    decided.push(`${id} ${verdict.verdict === 'refuse' ? verdict.code : verdict.verdict}`),
  )
  return { order, decided }
}

test('messages are decided in the order in which they came, whichever is answered first', async () => {
  const { held, hold, screening } = createScreening()
  const { order, decided } = createOrder(screening)
  hold('b')
  hold('c')
  for (const id of ['a', 'b', 'c', 'd']) order.take(messageOf(id))
  expect(decided).toEqual(['a accept'])
  held.get('c')!.resolve({ verdict: 'withhold' })
  await held.get('c')!.promise
  expect(decided).toEqual(['a accept'])
  held.get('b')!.reject(new Error('the service is away'))
  await expect.poll(() => decided).toEqual(['a accept', 'b internal', 'c withhold', 'd accept'])
  order.take(messageOf('e'))
  expect(decided.at(-1)).toBe('e accept')
})

test('what had to wait is refused when its author was suspended meanwhile, and so is what waited behind it', async () => {
  const { held, hold, judged, screening } = createScreening()
  const { order, decided } = createOrder(screening)
  hold('a')
  hold('c')
  for (const id of ['a', 'b', 'c']) order.take(messageOf(id))
  judged.push({ verdict: 'refuse', code: 'account_suspended' })
  held.get('a')!.resolve(ACCEPT)
  await expect.poll(() => decided).toEqual(['a account_suspended', 'b account_suspended'])
  // Suspended no more when its turn comes.
  held.get('c')!.resolve(ACCEPT)
  await expect.poll(() => decided.at(-1)).toBe('c accept')
})

test('a verdict changes what is stored, or refuses', () => {
  const message = messageOf('a bad word')
  const sentHash = bodyHash(message.bodyJson)
  applyVerdict(message, { verdict: 'replace', body: { text: 'a *** word', mentions: ['bob'] } })
  expect(message).toMatchObject({
    bodyJson: '{"text":"a *** word","mentions":["bob"]}',
    marks: { mentions: ['bob'], sentHash },
  })
  applyVerdict(message, { verdict: 'withhold' })
  expect(message.marks).toEqual({ mentions: ['bob'], sentHash, withheld: true })
  // It may have been stored before under its id, of which one who is suspended is not told.
  const refuse = (of: Message, code: ErrorCode) => () => applyVerdict(of, { verdict: 'refuse', code })
  expect(refuse(message, 'content_refused')()).toMatchObject({ code: 'content_refused' })
  expect(refuse(message, 'account_suspended')).toThrow(WochatError)
  expect(refuse({ ...message, id: null }, 'content_refused')).toThrow(WochatError)
  const transient = { ...messageOf('x'), marks: { transient: true as const } }
  applyVerdict(transient, { verdict: 'replace', body: { text: 'y' } })
  expect(transient.marks).toEqual({ transient: true })
  expect(refuse(transient, 'content_refused')).toThrow(WochatError)
})
