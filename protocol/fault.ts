/** The first thing that a schema finds wrong, in words for whoever sent it: the field, never its value. */
import type { Validator } from 'typebox/compile'

type Fault = { keyword: string; instancePath: string; message: string; params: object }

/** Characters of a field name that came from outside and is named in an answer. */
const NAMED_FIELD_CHARS_MAX = 64

/** `under`: the field that `value` is of, such as `body`. */
export function firstFault(validator: Validator, value: unknown, under = ''): string {
  const fault = validator.Errors(value)[0] as Fault | undefined
  if (fault === undefined)
    return `${under === '' ? 'the parameters do' : `${under}: does`} not match the schema`
  const inside = fault.instancePath.slice(1).replaceAll('/', '.').slice(0, NAMED_FIELD_CHARS_MAX)
  const path = [under, inside].filter((part) => part !== '').join('.')
  if (fault.keyword === 'required') {
    const missing = (fault.params as { requiredProperties: string[] }).requiredProperties[0]
    return `${path === '' ? '' : `${path}.`}${missing}: missing`
  }
  if (fault.keyword === 'boolean') return `${path}: unknown field`
  return `${path}: ${fault.message}`
}
