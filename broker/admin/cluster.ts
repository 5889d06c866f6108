/** The nodes as the operator's service sees them, over the bus. */
import { WochatError } from '../../protocol/errors.ts'
import type { ClusterPort, NodeFacts, NodeQuestions } from '../../services/admin/cluster-port.ts'
import { type Bus, NodeAwayError } from '../cluster/bus.ts'

const ANSWER_MS = 3000

export function createClusterPort(bus: Bus): ClusterPort {
  return {
    self: bus.node,
    async nodes(): Promise<NodeFacts[]> {
      const nodes = await bus.nodes()
      return nodes.map(({ load, roles, ...node }) => ({ ...node, roles: [...roles], ...load }))
    },
    async ask<Name extends keyof NodeQuestions>(
      node: string,
      question: Name,
      params: NodeQuestions[Name]['params'],
      timeoutMs = ANSWER_MS,
    ) {
      try {
        return (await bus.ask(node, question, params, timeoutMs)) as NodeQuestions[Name]['answer']
      } catch (error) {
        if (!(error instanceof NodeAwayError)) throw error
        throw new WochatError('node_away', `${node} did not answer`, { cause: error })
      }
    },
  }
}
