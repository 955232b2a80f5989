//! Plans: what agents were to cost, one for each.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::json;

use crate::model::answers::plan::{Plan, PlannedRow, SavedPlan};
use crate::model::audit::Entry;
use crate::model::clock::{rfc3339, signed};
use crate::store::database::error::StoreError;
use crate::store::{Store, audit};

/// What is kept as JSON.
type Body = (Plan, Vec<PlannedRow>);

impl Store {
    /// Keeps a plan with its agent, in place of an earlier one; the audit trail gets an entry.
    ///
    /// # Errors
    /// Nothing is kept then.
    pub async fn save_plan(
        &self,
        agent: String,
        (plan, rows): (Plan, Vec<PlannedRow>),
        by: String,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        self.write(move |transaction| {
            let before =
                read(transaction, &agent)?.map(|saved| json!({"plan": saved.plan, "rows": saved.rows}));
            let entry = Entry {
                time_ms: now_ms,
                actor: by.clone(),
                action: "plan.save".into(),
                subject: agent.clone(),
                before,
                after: Some(json!({"plan": plan, "rows": rows})),
            };
            let body: Body = (plan, rows);
            let body = serde_json::to_string(&body).map_err(|_| StoreError::Damaged("plans"))?;
            transaction
                .prepare_cached("INSERT OR REPLACE INTO plans VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![agent, signed(now_ms), by, body])?;
            audit::append(transaction, &entry)?;
            Ok(())
        })
        .await
    }

    /// The plan of an agent, if it has one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn plan(&self, agent: String) -> Result<Option<SavedPlan>, StoreError> {
        self.read(move |connection, _| read(connection, &agent)).await
    }

    /// All plans, by agent.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn plans(&self) -> Result<Vec<SavedPlan>, StoreError> {
        self.read(|connection, _| {
            let mut statement = connection
                .prepare_cached("SELECT agent, saved_ms, saved_by, body FROM plans ORDER BY agent")?;
            let mut rows = statement.query([])?;
            let mut plans = Vec::new();
            while let Some(row) = rows.next()? {
                plans.push(saved(row)?);
            }
            Ok(plans)
        })
        .await
    }
}

fn read(connection: &Connection, agent: &str) -> Result<Option<SavedPlan>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT agent, saved_ms, saved_by, body FROM plans WHERE agent = ?1")?;
    statement.query_row([agent], |row| Ok(saved(row))).optional()?.transpose()
}

fn saved(row: &Row<'_>) -> Result<SavedPlan, StoreError> {
    let body: String = row.get(3)?;
    let (plan, rows): Body = serde_json::from_str(&body).map_err(|_| StoreError::Damaged("plans"))?;
    Ok(SavedPlan {
        agent: row.get(0)?,
        saved_at: rfc3339(row.get::<_, i64>(1)?.unsigned_abs()),
        saved_by: row.get(2)?,
        plan,
        rows,
    })
}
