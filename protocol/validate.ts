/**
 * Checks the parameters of a call against the catalogue. What comes in is anything that JSON can say; what goes out
 * is of the operation's type. A refusal names the field, never its value.
 */
import { Compile, type Validator } from 'typebox/compile'
import { CATALOGUE, type OperationName, type Params } from './catalogue/catalogue.ts'
import { isWithinDepth } from './depth.ts'
import { WochatError } from './errors.ts'
import { firstFault } from './fault.ts'
import { JSON_DEPTH_MAX } from './limits.ts'

/** Compiled at its first use and kept: compiling costs a millisecond, checking a microsecond. */
const VALIDATORS = new Map<OperationName, Validator>()

/**
 * The parameters of `name`, checked. Throws {@link WochatError}: `bad_json` when they are no object, `too_deep`, or
 * `bad_request` that names the first field that is wrong.
 */
export function parseParams<Name extends OperationName>(name: Name, params: unknown): Params<Name> {
  return checkParams(validatorOf(name), params) as Params<Name>
}

/** What {@link parseParams} does, for any schema. */
export function checkParams(validator: Validator, params: unknown): object {
  if (typeof params !== 'object' || params === null || Array.isArray(params)) {
    throw new WochatError('bad_json', 'the parameters are a JSON object')
  }
  if (!isWithinDepth(params, JSON_DEPTH_MAX)) {
    throw new WochatError('too_deep', `JSON may be nested ${JSON_DEPTH_MAX} levels deep`)
  }
  if (hasProtoKey(params)) throw new WochatError('bad_request', '__proto__: not a name of a field')
  if (!validator.Check(params)) throw new WochatError('bad_request', firstFault(validator, params))
  return params
}

function validatorOf(name: OperationName): Validator {
  let validator = VALIDATORS.get(name)
  if (validator === undefined) {
    validator = Compile(CATALOGUE[name].params) as Validator
    VALIDATORS.set(name, validator)
  }
  return validator
}

/** `JSON.parse` makes `__proto__` a plain field, but the next code that copies the object may set a prototype by it. */
function hasProtoKey(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (Object.hasOwn(value, '__proto__')) return true
  return Object.values(value).some(hasProtoKey)
}
