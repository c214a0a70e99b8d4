//! Whether a service could be rolled back right now.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;

use super::App;
use super::problem::Problem;
use super::read::service_name;
use super::wire::ReadinessView;

/// Looks at once, whenever the host itself looked last.
pub(super) async fn readiness(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Result<Json<ReadinessView>, Problem> {
    app.people.authenticate(&headers)?;
    let name = service_name(name)?;
    app.state_of(&name)?;
    let _turn = app.doors.question().await?;
    let looked = app.engine.readiness(&name).await;
    let looked = looked.ok_or_else(|| Problem::not_found(format!("`{name}` is not configured any more")))?;
    Ok(Json(ReadinessView::of(looked)))
}
