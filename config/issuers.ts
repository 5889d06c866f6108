/** The setting of issuers that are trusted beside our own. */
import { type Option, parseText, quote } from './option.ts'

/** An issuer whose tokens are trusted beside our own. */
export type TrustedIssuer = {
  readonly issuer: string
  readonly audience: string
  /** File path or `http(s)` URL of its JWKS. */
  readonly jwks: string
}

const FIELDS = ['issuer', 'audience', 'jwks'] as const

/** JSON in the environment, an array of objects in the file. */
export function issuers(about: string): Option<readonly TrustedIssuer[]> {
  return {
    type: 'JSON',
    unit: '',
    default: [],
    range: '[{"issuer", "audience", "jwks"}]',
    about,
    parse: parseIssuers,
    show: (value) => JSON.stringify(value),
  }
}

function parseIssuers(raw: unknown): readonly TrustedIssuer[] {
  const value = typeof raw === 'string' ? parseJson(raw) : raw
  if (!Array.isArray(value)) throw new Error(`${quote(raw)} is not a JSON array`)
  const parsed = value.map(parseIssuer)
  const repeated = parsed.find(({ issuer }, i) => parsed.findIndex((p) => p.issuer === issuer) !== i)
  if (repeated !== undefined) throw new Error(`issuer ${quote(repeated.issuer)} is there twice`)
  return parsed
}

function parseJson(raw: string): unknown {
  try {
    return JSON.parse(raw)
  } catch {
    throw new Error(`${quote(raw)} is not JSON`)
  }
}

function parseIssuer(value: unknown): TrustedIssuer {
  if (typeof value !== 'object' || value === null) throw new Error(`${quote(value)} is not an object`)
  const fields = new Map<string, unknown>(Object.entries(value))
  const unknown = [...fields.keys()].find((key) => !FIELDS.some((field) => field === key))
  if (unknown !== undefined) throw new Error(`an issuer has no field ${quote(unknown)}`)
  const [issuer, audience, jwks] = FIELDS.map((field) => {
    if (!fields.has(field)) throw new Error(`an issuer lacks "${field}"`)
    return parseText(fields.get(field))
  })
  return { issuer: issuer!, audience: audience!, jwks: jwks! }
}
