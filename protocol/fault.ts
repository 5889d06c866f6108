/** The first thing that a schema finds wrong, in words for whoever sent it: the field and what it takes, never its value. */
import type { Validator } from 'typebox/compile'

type Fault = { keyword: string; instancePath: string; schemaPath: string; message: string; params: object }

/** Characters of a field name that came from outside and is named in an answer. */
const NAMED_FIELD_CHARS_MAX = 64

/** `under`: the field that `value` is of, such as `body`. */
export function firstFault(validator: Validator, value: unknown, under = ''): string {
  const faults = validator.Errors(value) as Fault[]
  const fault = faults[0]
  if (fault === undefined)
    return `${under === '' ? 'the parameters do' : `${under}: does`} not match the schema`
  const inside = fault.instancePath.slice(1).replaceAll('/', '.').slice(0, NAMED_FIELD_CHARS_MAX)
  const path = [under, inside].filter((part) => part !== '').join('.')
  if (fault.keyword === 'required') {
    const missing = (fault.params as { requiredProperties: string[] }).requiredProperties[0]
    return `${path === '' ? '' : `${path}.`}${missing}: missing`
  }
  if (fault.keyword === 'boolean') return `${path}: unknown field`
  if (fault.keyword === 'const' || fault.keyword === 'enum') {
    const here = faults.filter(({ instancePath }) => instancePath === fault.instancePath)
    const allowed = here.flatMap(allowedValues)
    return `${path}: ${allowed.length > 1 ? 'one of ' : 'must be '}${allowed.join(', ')}`
  }
  if (fault.keyword === 'pattern') {
    const meaning = descriptionAt(validator.Type(), fault.schemaPath)
    return `${path}: ${fault.message}${meaning === undefined ? '' : ` (${meaning})`}`
  }
  return `${path}: ${fault.message}`
}

/** The values that the schema of a fault takes; a union has a fault for each of its parts. */
function allowedValues({ keyword, params }: Fault): unknown[] {
  if (keyword === 'const') return [(params as { allowedValue: unknown }).allowedValue]
  if (keyword === 'enum') return (params as { allowedValues: unknown[] }).allowedValues
  return keyword === 'type' && (params as { type: unknown }).type === 'null' ? ['null'] : []
}

/** What the schema at a path such as `#/properties/token` says of itself, without its full stop. */
function descriptionAt(schema: unknown, schemaPath: string): string | undefined {
  let at: unknown = schema
  for (const name of schemaPath.split('/').slice(1)) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, name)) return undefined
    at = (at as Record<string, unknown>)[name]
  }
  const { description } = at as { description?: unknown }
  return typeof description === 'string' ? description.replace(/\.$/, '') : undefined
}
