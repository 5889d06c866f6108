/** Asking several nodes at once: one that does not answer is named in the result and fails nothing. */
import { WochatError } from '../../protocol/errors.ts'
import type { ClusterPort, NodeFacts, NodeQuestion, NodeQuestions } from './cluster-port.ts'

type Answers<Node, Answer> = { answers: { node: Node; answer: Answer }[]; away: string[] }

export async function askAll<Name extends NodeQuestion, Node extends Pick<NodeFacts, 'id'>>(
  cluster: ClusterPort,
  nodes: readonly Node[],
  question: Name,
  params: NodeQuestions[Name]['params'],
): Promise<Answers<Node, NodeQuestions[Name]['answer']>> {
  const away: string[] = []
  const asked = nodes.map(async (node) => {
    try {
      return [{ node, answer: await cluster.ask(node.id, question, params) }]
    } catch (error) {
      if (!(error instanceof WochatError && error.code === 'node_away')) throw error
      away.push(node.id)
      return []
    }
  })
  return { answers: (await Promise.all(asked)).flat(), away }
}

/** The nodes that hold connections. */
export async function brokersOf(cluster: ClusterPort): Promise<NodeFacts[]> {
  return (await cluster.nodes()).filter(({ roles }) => roles.includes('broker'))
}

/** A node by its id or its name; refuses `unknown_node`. */
export async function getNode(cluster: ClusterPort, idOrName: string): Promise<NodeFacts> {
  const nodes = await cluster.nodes()
  const found = nodes.find(({ id }) => id === idOrName)
  if (found !== undefined) return found
  const named = nodes.filter(({ name }) => name === idOrName)
  if (named.length === 1) return named[0]!
  throw new WochatError(
    'unknown_node',
    named.length === 0
      ? undefined
      : `${named.length} nodes have this name: ${named.map(({ id }) => id).join(', ')}`,
  )
}
