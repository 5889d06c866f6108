/** People of a bench, and the calls that are made for them beside the ones that are measured. */
import type { Broker } from './broker.ts'
import type { ChatCall, ChatLoad, ChatPerson } from './chat-load.ts'
import { WARMUP_SECONDS } from './row.ts'

const PREPARED_TOGETHER = 32

export const namesOf = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${prefix}${String(i).padStart(6, '0')}`)

export const directLog = (a: string, b: string): string => (a < b ? `d:${a}:${b}` : `d:${b}:${a}`)

export const sendTo = (person: number, to: string, text: string): ChatCall => ({
  ...{ person, operation: 'messages.send', params: { to, text } },
})

export async function signIn(broker: Broker, uids: readonly string[]): Promise<ChatPerson[]> {
  const tokens = await broker.chat!.sign(uids)
  return uids.map((uid, i) => ({ uid, token: tokens[i]! }))
}

export function loadOf(
  { chat }: Broker,
  people: ChatPerson[],
): Pick<ChatLoad, 'mqttPort' | 'httpPort' | 'people' | 'width' | 'warmup'> {
  const { mqttPort, httpPort } = chat!
  return { mqttPort, httpPort, people, width: PREPARED_TOGETHER, warmup: WARMUP_SECONDS }
}

export async function post(
  broker: Broker,
  { token }: ChatPerson,
  operation: string,
  params: object,
): Promise<unknown> {
  const response = await fetch(`http://127.0.0.1:${broker.chat!.httpPort}/v1/${operation}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(params),
  })
  const body = await response.text()
  if (!response.ok) throw new Error(`${operation}: ${response.status} ${body}`)
  return JSON.parse(body)
}

/** An operation of the admin port. */
export async function operate(broker: Broker, operation: string, params: object): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${broker.chat!.adminPort}/admin/v1/${operation}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(params),
  })
  const body = await response.text()
  if (!response.ok) throw new Error(`${operation}: ${response.status} ${body}`)
}
