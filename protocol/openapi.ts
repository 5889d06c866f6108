/** The HTTP face of the catalogue as an OpenAPI 3.1 document, whose schemas are JSON Schema as they are. */
import { CATALOGUE, OPERATION_NAMES, type OperationName } from './catalogue/catalogue.ts'
import { COMMON_ERRORS, type Operation } from './catalogue/operation.ts'
import { ERRORS, type ErrorCode } from './errors.ts'
import {
  HTTP_ROUTES,
  type HttpRoute,
  ROUTE_ERRORS,
  ROUTE_NAMES,
  type RouteAnswer,
  type RouteName,
} from './http-routes.ts'

/** Refusals of the HTTP face itself. `method_not_allowed` is for another method than POST, which is not in the document. */
const TOKEN_ERRORS: ReadonlySet<ErrorCode> = new Set(['unauthenticated', 'revoked'])

type Json = { [key: string]: unknown }

/** `version` is of the server; `url` where it is reached, `/` for where the document came from. */
export function buildOpenApi({ version, url = '/' }: { version: string; url?: string }): Json {
  return {
    openapi: '3.1.0',
    info: {
      title: 'wochat',
      version,
      summary:
        'Operations over HTTP. The same operations are served over MQTT on `u/{uid}/call/{operation}`.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url }],
    paths: Object.fromEntries([
      ...OPERATION_NAMES.map((name) => [`/v1/${name}`, { post: buildOperation(name) }]),
      ...ROUTE_NAMES.map((name) => [HTTP_ROUTES[name].path, buildRoute(name)]),
    ]),
    components: {
      securitySchemes: { accessToken: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
      schemas: { Error: buildErrorSchema() },
    },
  }
}

function buildOperation(name: OperationName): Json {
  const operation: Operation = CATALOGUE[name]
  return {
    operationId: name,
    tags: [name.slice(0, name.indexOf('.'))],
    summary: operation.summary,
    security: operation.access === 'user' ? [{ accessToken: [] }] : [],
    requestBody: {
      required: Object.keys(operation.params.required ?? []).length > 0,
      content: { 'application/json': { schema: operation.params } },
    },
    responses: {
      200: { description: 'The result.', content: { 'application/json': { schema: operation.result } } },
      ...buildErrorResponses(errorsOf(operation)),
    },
  }
}

/** The methods of a route, each with what it takes and answers. */
function buildRoute(name: RouteName): Json {
  const route: HttpRoute = HTTP_ROUTES[name]
  return Object.fromEntries(
    route.methods.map((method, i) => [
      method.toLowerCase(),
      {
        // An operationId is one method's: the first has the name.
        operationId: i === 0 ? name : `${name}.${method.toLowerCase()}`,
        tags: [name.slice(0, name.indexOf('.'))],
        summary: route.summary,
        security: route.takesLink ? [{ accessToken: [] }, {}] : [{ accessToken: [] }],
        parameters: route.parameters.map((parameter) => ({
          ...parameter,
          required: parameter.in === 'path',
        })),
        ...(route.body !== null && { requestBody: { required: true, content: { [route.body]: {} } } }),
        responses: {
          ...Object.fromEntries(
            Object.entries(route.answers).map(([status, answer]) => [status, buildAnswer(method, answer)]),
          ),
          ...buildErrorResponses([...route.errors, ...ROUTE_ERRORS]),
        },
      },
    ]),
  )
}

function buildAnswer(method: string, { description, content, schema }: RouteAnswer): Json {
  if (content === null || method === 'HEAD') return { description }
  return { description, content: { [content]: schema === undefined ? {} : { schema } } }
}

/** Every code that an operation may answer with over HTTP. */
function errorsOf(operation: Operation): ErrorCode[] {
  const common = COMMON_ERRORS.filter((code) => operation.access === 'user' || !TOKEN_ERRORS.has(code))
  return [...new Set<ErrorCode>([...operation.errors, ...common])]
}

function buildErrorResponses(errors: readonly ErrorCode[]): Json {
  const byStatus = Map.groupBy(errors, (code) => ERRORS[code].http)
  return Object.fromEntries([...byStatus].map(([status, codes]) => [status, buildErrorResponse(codes)]))
}

function buildErrorResponse(codes: readonly ErrorCode[]): Json {
  return {
    description: codes.map((code) => `\`${code}\`: ${ERRORS[code].meaning}`).join('\n'),
    ...(codes.some((code) => ERRORS[code].retryable) && {
      headers: { 'retry-after': { schema: { type: 'integer' }, description: 'Seconds; where it is known.' } },
    }),
    content: {
      'application/json': {
        schema: {
          allOf: [
            { $ref: '#/components/schemas/Error' },
            { properties: { error: { properties: { code: { enum: codes } } } } },
          ],
        },
      },
    },
  }
}

function buildErrorSchema(): Json {
  return {
    type: 'object',
    required: ['error'],
    properties: {
      error: {
        type: 'object',
        required: ['code', 'message'],
        properties: {
          code: { type: 'string', description: 'The contract; new codes may come.' },
          message: { type: 'string', description: 'For people; its text may change.' },
          retryAfterMs: { type: 'integer' },
          details: { description: 'What exactly was refused.' },
        },
      },
    },
  }
}
