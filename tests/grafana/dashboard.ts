// What Grafana's published types (the npm package `@grafana/schema`, made from its kinds) say of a dashboard, for JSON:
// an enum is there as its value. The queries of the data source Infinity have no package; their type here was written
// after its `src/types/query.types.ts` (read 2026-11-30) and allows only what these dashboards use.
import type * as grafana from '@grafana/schema';
import type * as bargauge from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as timeseries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

/** A type as its JSON is written. */
type Json<T> = T extends string
  ? `${T}`
  : T extends number | boolean | null | undefined
    ? T
    : T extends (infer One)[]
      ? Json<One>[]
      : T extends object
        ? { [Key in keyof T]: Json<T[Key]> }
        : T;

type Source<Type extends string> = { type: Type; uid: '${datasource}' };

interface Prometheus {
  refId: string;
  datasource: Source<'prometheus'>;
  editorMode: 'code';
  expr: string;
  instant: boolean;
  range: boolean;
  legendFormat: string;
  format?: 'table' | 'time_series' | 'heatmap';
}

interface Infinity {
  refId: string;
  datasource: Source<'yesoreyeram-infinity-datasource'>;
  type: 'json';
  source: 'url';
  parser: 'backend';
  format: 'table';
  url: string;
  url_options: { method: 'GET'; data: '' };
  root_selector: string;
  columns: { selector: string; text: string; type: 'string' | 'number' | 'timestamp' }[];
  filters: [];
}

interface Shown<Type extends string, Options, Custom = never> {
  type: Type;
  title: string;
  description: string;
  gridPos: grafana.GridPos;
  datasource: grafana.DataSourceRef;
  targets: (Prometheus | Infinity)[];
  options: Json<Options>;
  fieldConfig: {
    defaults: Json<Omit<grafana.FieldConfig, 'custom'>> & { custom?: Json<Custom> };
    overrides: { matcher: { id: 'byName'; options: string }; properties: { id: 'unit' | 'links'; value: unknown }[] }[];
  };
}

type Panel = Json<Omit<grafana.Panel, 'type' | 'title' | 'description' | 'options' | 'fieldConfig' | 'targets' | 'datasource' | 'gridPos'>> &
  (
    | Shown<'stat', Pick<stat.Options, keyof stat.Options>>
    | Shown<'timeseries', timeseries.Options, timeseries.FieldConfig>
    | Shown<'bargauge', bargauge.Options>
    | Shown<'table', table.Options, table.FieldConfig>
  );

export type Dashboard = Json<Omit<grafana.Dashboard, 'panels'>> & {
  uid: string;
  title: string;
  panels: (Json<grafana.RowPanel> | Panel)[];
};
