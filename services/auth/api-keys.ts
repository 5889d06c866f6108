/** API keys of bots as tokens: what verifies them in place of a signature is the store. */
import { WochatError } from '../../protocol/errors.ts'
import type { OperationStore } from '../store/contract.ts'
import { hashApiKey, type KeyHolder } from '../store/operations/operator/bots.ts'
import type { VerifiedToken } from './token.ts'

const API_KEY = /^wck_[\w-]{43}$/
/** Holders that are remembered. That a key was ended is asked of the store with every call and CONNECT, as of any login. */
const REMEMBERED_MAX = 10_000
/** Questions to the store at once; guessing keys must not gather them without end. */
const ASKED_MAX = 100

export interface ApiKeys {
  /** Rejects with `unauthenticated`. */
  verify(key: string): Promise<VerifiedToken>
}

export function isApiKey(token: string): boolean {
  return token.startsWith('wck_')
}

export function createApiKeys(store: Pick<OperationStore, 'perform'>): ApiKeys {
  const known = new Map<string, KeyHolder>()
  let asked = 0

  async function ask(hash: string): Promise<KeyHolder | null> {
    if (asked >= ASKED_MAX) throw new WochatError('busy', undefined, { retryAfterMs: 1000 })
    asked++
    try {
      return await store.perform({ task: 'findApiKey', input: { hash } })
    } finally {
      asked--
    }
  }

  return {
    async verify(key) {
      if (!API_KEY.test(key)) throw refusal()
      const hash = hashApiKey(key)
      const holder = known.get(hash) ?? (await ask(hash))
      if (holder === null) throw refusal()
      if (known.size >= REMEMBERED_MAX) known.clear()
      known.set(hash, holder)
      const { uid, device, sid, madeAt } = holder
      const acl = { pub: [], sub: [] }
      return { uid, device, sid, issuedAt: madeAt, expiresAt: Number.MAX_SAFE_INTEGER, acl }
    },
  }
}

function refusal(): WochatError {
  return new WochatError('unauthenticated', 'the token is not accepted: it is no API key that stands')
}
