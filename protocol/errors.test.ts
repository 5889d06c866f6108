import { describe, expect, it } from 'vitest'
import { ADMIN_COMMON_ERRORS, ADMIN_NAMES, ADMIN_OPERATIONS } from './admin/operations.ts'
import { CATALOGUE, OPERATION_NAMES } from './catalogue/catalogue.ts'
import { COMMON_ERRORS } from './catalogue/operation.ts'
import { asWochatError, ERROR_CODES, ERRORS, type ErrorCode, WochatError } from './errors.ts'
import { HTTP_ROUTES } from './http-routes.ts'

/** Codes that no operation gives: they are of the doors themselves: CONNECT, MQTT topics and HTTP routes. */
const DOOR_ERRORS: readonly ErrorCode[] = [
  'forbidden',
  'unknown_operation',
  'topic_denied',
  'method_not_allowed',
]

/** PUBACK reason codes of a refusal [MQTT 5, table 3-4]. */
const PUBACK_REFUSALS = [0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]

const used = new Set<ErrorCode>([
  ...OPERATION_NAMES.flatMap((name) => CATALOGUE[name].errors as readonly ErrorCode[]),
  ...COMMON_ERRORS,
  ...ADMIN_NAMES.flatMap((name) => ADMIN_OPERATIONS[name].errors as readonly ErrorCode[]),
  ...ADMIN_COMMON_ERRORS,
  ...DOOR_ERRORS,
  ...Object.values(HTTP_ROUTES).flatMap(({ errors }) => errors as readonly ErrorCode[]),
])

describe.each(ERROR_CODES)('%s', (code) => {
  const row = ERRORS[code]

  it('has a status, a reason code and a sentence', () => {
    expect(row.http).toBeGreaterThanOrEqual(400)
    expect(row.http).toBeLessThan(600)
    expect(PUBACK_REFUSALS).toContain(row.reason)
    expect(row.meaning).toMatch(/^[A-Z].*\.$/)
    expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/)
  })

  it('is retryable only with a status that says so', () => {
    if (row.retryable) expect([429, 502, 503, 507]).toContain(row.http)
    else expect([429, 502, 503, 507]).not.toContain(row.http)
  })
})

it('every code is given by somebody', () => {
  expect(ERROR_CODES.filter((code) => !used.has(code))).toEqual([])
})

it('a refusal travels with its code, message, details and time to wait, and without its cause', () => {
  const error = new WochatError('busy', undefined, { retryAfterMs: 5, details: { a: 1 }, cause: 'secret' })
  expect(error.toWire()).toEqual({
    code: 'busy',
    message: ERRORS.busy.meaning,
    retryAfterMs: 5,
    details: { a: 1 },
  })
  expect(asWochatError(error)).toBe(error)
})

it('any other failure becomes internal, and its text stays with us', () => {
  const error = asWochatError(new Error('disk at /secret/path'))
  expect(error.toWire()).toEqual({ code: 'internal', message: ERRORS.internal.meaning })
  expect(error.cause).toBeInstanceOf(Error)
})
