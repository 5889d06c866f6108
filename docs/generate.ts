/** Writes the pages that are made from definitions: the reference of operations and errors, the settings, the list of decisions. */
import { writeFileSync } from 'node:fs'
import { describeConfig, loadConfig } from '../config.ts'
import type { AdminOperation } from '../protocol/admin/operation.ts'
import { ADMIN_COMMON_ERRORS, ADMIN_NAMES, ADMIN_OPERATIONS } from '../protocol/admin/operations.ts'
import { CATALOGUE, OPERATION_NAMES } from '../protocol/catalogue/catalogue.ts'
import { COMMON_ERRORS, type Operation } from '../protocol/catalogue/operation.ts'
import { ERROR_CODES, ERRORS } from '../protocol/errors.ts'
import { CommonSchema, MESSAGE_TYPES } from '../protocol/message-types.ts'
import { buildDecisions } from './decisions.ts'

type JsonSchema = {
  type?: string
  description?: string
  properties?: Record<string, JsonSchema>
  required?: string[]
  items?: JsonSchema
  anyOf?: JsonSchema[]
  const?: unknown
  enum?: unknown[]
  pattern?: string
  minimum?: number
  maximum?: number
  minLength?: number
  maxLength?: number
  minItems?: number
  maxItems?: number
}

export const PAGES: ReadonlyMap<string, () => string> = new Map([
  ['reference.md', buildReference],
  ['configuration.md', buildConfiguration],
  ['admin.md', buildAdmin],
  ['adr/README.md', buildDecisions],
])

function buildReference(): string {
  return [
    '# Reference',
    '',
    'Made from the definitions in `protocol/` by `npm run docs`. How calls travel: [protocol.md](protocol.md).',
    'An account may make calls of the rate class `costly` and `rare` less often than others: `costlyCallsPerMinuteMax` and',
    '`rareCallsPerHourMax` in [configuration.md](configuration.md), each for all operations of the class together.',
    '',
    '## Operations',
    '',
    ...OPERATION_NAMES.flatMap(describeOperation),
    '## Message types',
    '',
    'What `body` holds, by `type`. The fields of every type (below) are checked in all of them. Beside those, a type that is not in this',
    'list has whatever fields its app gives it, and one that is may have more than it names.',
    '',
    ...Object.entries(MESSAGE_TYPES).flatMap(([type, { summary, body }]) => [
      `### ${type}`,
      '',
      summary,
      '',
      ...describeFields('field', body as JsonSchema),
    ]),
    '### Every type',
    '',
    ...describeFields('field', CommonSchema as unknown as JsonSchema),
    '## Errors',
    '',
    `Every operation may also be refused with ${COMMON_ERRORS.map((code) => `\`${code}\``).join(', ')}.`,
    '',
    '| code | meaning | HTTP | MQTT 5 reason | retryable |',
    '|---|---|---|---|---|',
    ...ERROR_CODES.map((code) => {
      const { meaning, http, reason, retryable } = ERRORS[code]
      return `| \`${code}\` | ${meaning} | ${http} | 0x${reason.toString(16)} | ${retryable ? 'yes' : 'no'} |`
    }),
    '',
  ].join('\n')
}

const ADMIN_INTRO = `# Admin operations

Made from the table in \`protocol/admin/\` by \`npm run docs\`. \`POST /admin/v1/{operation}\` on the admin port takes the
parameters as JSON; what only reads answers GET with a query too. \`npx wochat admin {operation}\` is the same on the
command line. Any node answers for the whole cluster. The port has no login: [operating.md](operating.md) says how it
is protected.
`

function buildAdmin(): string {
  const sections = ADMIN_NAMES.flatMap((name) => {
    const { summary, kind, params, result, errors, positional }: AdminOperation = ADMIN_OPERATIONS[name]
    const command = [toKebab(name), ...positional.map((key) => `{${key}}`)].join(' ')
    const effect = {
      read: 'Reads only.',
      change: 'Changes something.',
      stream: 'Reads, a line of JSON at a time.',
    }
    return [
      `## ${name}`,
      '',
      summary,
      '',
      `${effect[kind]} \`npx wochat admin ${command}\``,
      '',
      ...describeFields('parameter', params as JsonSchema),
      ...describeFields('result', result as JsonSchema),
      ...(errors.length === 0 ? [] : [`Refusals: ${errors.map((code) => `\`${code}\``).join(', ')}`, '']),
    ]
  })
  const common = ADMIN_COMMON_ERRORS.map((code) => `\`${code}\``).join(', ')
  return [ADMIN_INTRO, ...sections, `Every operation may also be refused with ${common}.`, ''].join('\n')
}

function toKebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

function describeOperation(name: (typeof OPERATION_NAMES)[number]): string[] {
  const { summary, access, mutating, rate, params, result, errors }: Operation = CATALOGUE[name]
  return [
    `### ${name}`,
    '',
    summary,
    '',
    `${access === 'public' ? 'No token needed.' : 'Needs a token.'} ${mutating ? 'Changes something.' : 'Reads only.'}${rate === undefined || rate === 'normal' ? '' : ` Rate class: \`${rate}\`.`}`,
    '',
    ...describeFields('parameter', params as JsonSchema),
    ...describeFields('result', result as JsonSchema),
    ...(errors.length === 0 ? [] : [`Refusals: ${errors.map((code) => `\`${code}\``).join(', ')}`, '']),
  ]
}

function describeFields(title: string, schema: JsonSchema): string[] {
  const fields = Object.entries(schema.properties ?? {})
  if (fields.length === 0) return []
  return [
    `| ${title} | type | |`,
    '|---|---|---|',
    ...fields.map(([name, field]) => {
      const optional = schema.required?.includes(name) === true ? '' : '?'
      return `| \`${name}\`${optional} | ${typeOf(field)} | ${field.description ?? ''} |`
    }),
    '',
  ]
}

function typeOf(schema: JsonSchema): string {
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${String(value)}\``).join(' or ')
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeOf).join(' or ')
  if (schema.type === 'array')
    return `[${typeOf(schema.items ?? {})}]${range(schema.minItems, schema.maxItems)}`
  if (schema.type === 'object' && schema.properties !== undefined) {
    return `{${Object.keys(schema.properties).join(', ')}}`
  }
  const length = range(schema.minLength, schema.maxLength) || range(schema.minimum, schema.maximum)
  return `${schema.type ?? 'any'}${schema.pattern === undefined ? length : ` \`${schema.pattern.replaceAll('|', '\\|')}\``}`
}

function range(min: number | undefined, max: number | undefined): string {
  if (max === undefined || max === Number.MAX_SAFE_INTEGER) return ''
  return ` ${min ?? 0}..${max}`
}

function buildConfiguration(): string {
  const rows = describeConfig(loadConfig({ env: { WOCHAT_DATA_DIR: './data' } }))
  return [
    '# Configuration',
    '',
    'Made from the table in `config/options.ts` by `npm run docs`. The environment goes before the file, the file before',
    'the default. In a file (JSON) the names are those of the first column. `npx wochat config` prints what is in force.',
    '',
    '| setting | environment | type | default | range | |',
    '|---|---|---|---|---|---|',
    ...rows.map(({ name, env, type, unit, default: initial, range: bounds, about }) => {
      const shown = initial === '' ? '' : `\`${initial}\``
      const cells = [
        `\`${name}\``,
        `\`${env}\``,
        `${type}${unit === '' ? '' : `, ${unit}`}`,
        shown,
        bounds,
        about,
      ]
      return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
    }),
    '',
  ].join('\n')
}

if (import.meta.main) {
  for (const [file, build] of PAGES) writeFileSync(new URL(file, import.meta.url), build())
}
