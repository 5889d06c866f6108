/** For tests: what the form of an operation's parameters refuses, made from its schema, at every depth. */
import type { TSchema } from 'typebox'
import { Value } from 'typebox/value'

type Json = unknown
type Schema = TSchema & {
  type?: string
  properties?: Record<string, Schema>
  required?: readonly string[]
  additionalProperties?: unknown
  items?: Schema
  maxItems?: number
  uniqueItems?: boolean
  maxLength?: number
  maximum?: number
  pattern?: string
}

export type BadParams = {
  /** What is wrong, as the name of a test. */
  title: string
  /** What the refusal names. */
  field: string
  params: Json
}

const WRONGLY_TYPED: readonly Json[] = [null, true, 1.5, [[]]]
/** Longer than any pattern takes. */
const LONG_CHARS = 10_000

/**
 * Everything wrong that one change makes of `valid`: each field missing, wrongly typed and larger than its bound, and
 * one field more, of the parameters and of each object within them that `valid` has.
 */
export function badParamsOf(schema: TSchema, valid: Json): BadParams[] {
  return badValuesOf(schema as Schema, valid, [])
}

function badValuesOf(schema: Schema, valid: Json, path: readonly string[]): BadParams[] {
  if (schema.items !== undefined && Array.isArray(valid) && valid.length > 0) {
    return badValuesOf(schema.items, valid[0], [...path, '0']).map((bad) => ({
      ...bad,
      params: [bad.params],
    }))
  }
  if (schema.properties === undefined || typeof valid !== 'object' || valid === null) return []
  const bad: BadParams[] = []
  for (const field of schema.required ?? []) {
    const { [field]: _left, ...rest } = valid as Record<string, Json>
    bad.push(row(`without ${nameOf(path, field)}`, path, field, rest))
  }
  if (schema.additionalProperties === false) {
    bad.push(row(`with ${nameOf(path, 'surplus')}`, path, 'surplus', { ...valid, surplus: 1 }))
  }
  for (const [field, of] of Object.entries(schema.properties)) {
    const name = nameOf(path, field)
    const mine = (valid as Record<string, Json>)[field]
    const wrongs = WRONGLY_TYPED.filter((value) => !Value.Check(of, value))
    if (wrongs.length === 0) throw new Error(`${name} takes a value of any type`)
    for (const wrong of wrongs) {
      bad.push(row(`with ${name} as ${JSON.stringify(wrong)}`, path, field, { ...valid, [field]: wrong }))
    }
    const tooMuch = beyond(of, mine)
    if (tooMuch !== undefined) {
      bad.push(row(`with ${name} beyond its bound`, path, field, { ...valid, [field]: tooMuch }))
    }
    for (const inside of badValuesOf(of, mine, [...path, field])) {
      bad.push({ ...inside, params: { ...valid, [field]: inside.params } })
    }
  }
  return bad
}

const nameOf = (path: readonly string[], field: string): string => [...path, field].join('.')

const row = (title: string, path: readonly string[], field: string, params: Json): BadParams => ({
  title,
  field: nameOf(path, field),
  params,
})

/** A value beyond what a schema bounds: longer, larger or more of them; undefined where nothing is bounded so. */
function beyond(
  { maxLength, pattern, type, maximum, maxItems, items, uniqueItems }: Schema,
  valid: Json,
): Json {
  if (maxLength !== undefined) return 'x'.repeat(maxLength + 1)
  if (pattern !== undefined) return 'x'.repeat(LONG_CHARS)
  if (type === 'integer' || type === 'number') return maximum === undefined ? 1e300 : maximum * 2
  if (maxItems === undefined) return undefined
  const item = Array.isArray(valid) ? valid[0] : undefined
  return Array.from({ length: maxItems + 1 }, (_, i) =>
    uniqueItems === true ? another(items, item, i) : item,
  )
}

/** Others like `item`, which the items of an array whose items differ take. */
function another(schema: Schema | undefined, item: Json, i: number): Json {
  if (typeof item === 'number') return item + i
  const letters = [...`${i}`].map((digit) => 'abcdefghij'[Number(digit)]).join('')
  const made = `${item}${letters}`
  return schema === undefined || Value.Check(schema, made) ? made : letters
}
