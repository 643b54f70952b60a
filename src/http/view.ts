/** What the HTTP side needs of a running service: everything it shows, and the one thing it can do. */
import type {
  CoverageReport,
  Health,
  ServiceStatus,
  TreeNode,
} from "../../schema/service.ts";

import type { RegistryService } from "../registry/service.ts";

export interface CoverageQuery {
  /** Slug; every account when absent. */
  readonly account?: string;
  /** The minute bars of this symbol instead. */
  readonly symbol?: string;
  readonly from?: Date;
  readonly to?: Date;
}

export interface ServiceView {
  /** The symbol registry; undefined where this replica has none. */
  readonly registry?: RegistryService | undefined;
  health(): Health;
  status(): ServiceStatus;
  tree(): TreeNode;
  /** Rejects while the store does not answer. */
  coverage(query: CoverageQuery): Promise<CoverageReport>;
  metrics(): Promise<{ readonly contentType: string; readonly text: string }>;
  /** Restarts the actor at a path of the tree; false when there is none. */
  restart(path: string): boolean;
}
