import { describe, expect, it } from 'vitest'
import { CATALOGUE, OPERATION_NAMES, type OperationName } from './catalogue/catalogue.ts'
import { COMMON_ERRORS, type Operation } from './catalogue/operation.ts'
import { ERRORS, type ErrorCode } from './errors.ts'
import { HTTP_ROUTES, type HttpRoute, ROUTE_ERRORS, ROUTE_NAMES } from './http-routes.ts'
import { buildOpenApi } from './openapi.ts'

type Response = {
  content: {
    'application/json': {
      schema: { allOf?: [unknown, { properties: { error: { properties: { code: { enum: string[] } } } } }] }
    }
  }
}
type Described = {
  operationId: string
  summary: string
  security: object[]
  parameters: { name: string; required: boolean }[]
  requestBody: { content: { 'application/json': { schema: unknown } } }
  responses: Record<string, Response>
}

const document = JSON.parse(JSON.stringify(buildOpenApi({ version: '1.2.3' }))) as {
  openapi: string
  paths: Record<string, Record<string, Described>>
}
const plain = (schema: unknown) => JSON.parse(JSON.stringify(schema)) as unknown
const describedAs = (name: OperationName) => document.paths[`/v1/${name}`]!.post!

it('the document has a path for every operation and every route beside them, and no other', () => {
  expect(document.openapi).toBe('3.1.0')
  const described = Object.entries(document.paths).map(([path, methods]) => [path, Object.keys(methods)])
  expect(Object.fromEntries(described)).toEqual({
    ...Object.fromEntries(OPERATION_NAMES.map((name) => [`/v1/${name}`, ['post']])),
    '/v1/media/{id}/parts/{part}': ['put'],
    '/v1/media/{id}': ['get', 'head'],
    '/v1/export': ['get'],
  })
})

it('no two methods of the document have the same operationId', () => {
  const ids = Object.values(document.paths).flatMap((methods) =>
    Object.values(methods).map(({ operationId }) => operationId),
  )
  expect(new Set(ids).size).toBe(ids.length)
})

describe.each(ROUTE_NAMES)('the route %s in the document', (name) => {
  const route: HttpRoute = HTTP_ROUTES[name]
  const methods = Object.values(document.paths[route.path]!)

  it('requires the parameters of its path, and no other', () => {
    const inPath = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => parameter)
    for (const { parameters } of methods) {
      const required = parameters.filter((parameter) => parameter.required)
      expect(required.map((parameter) => parameter.name)).toEqual(inPath)
    }
  })

  it('says what it answers, and each refusal under its status', () => {
    for (const { responses } of methods) {
      const statuses = [...route.errors, ...ROUTE_ERRORS].map((code) => String(ERRORS[code].http))
      expect(Object.keys(responses).sort()).toEqual(
        [...new Set([...Object.keys(route.answers), ...statuses])].sort(),
      )
    }
  })
})

describe.each(OPERATION_NAMES)('%s in the document', (name) => {
  const operation: Operation = CATALOGUE[name]

  it('has the parameters, the result and the access of the catalogue', () => {
    const described = describedAs(name)
    expect(described.operationId).toBe(name)
    expect(described.summary).toBe(operation.summary)
    expect(described.requestBody.content['application/json'].schema).toEqual(plain(operation.params))
    expect(described.responses['200']!.content['application/json'].schema).toEqual(plain(operation.result))
    expect(described.security).toEqual(operation.access === 'user' ? [{ accessToken: [] }] : [])
  })

  it('has exactly the errors of the catalogue, each under its status', () => {
    const { 200: _result, ...failures } = describedAs(name).responses
    const told = Object.entries(failures).flatMap(([status, response]) =>
      response.content['application/json'].schema.allOf![1].properties.error.properties.code.enum.map(
        (code) => `${status} ${code}`,
      ),
    )
    const ofToken: ErrorCode[] = ['unauthenticated', 'revoked']
    const common = COMMON_ERRORS.filter((code) => operation.access === 'user' || !ofToken.includes(code))
    const expected = new Set([...operation.errors, ...common].map((code) => `${ERRORS[code].http} ${code}`))
    expect(told.sort()).toEqual([...expected].sort())
  })
})
