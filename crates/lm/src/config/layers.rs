//! What differs from layer to layer: windows and rotary positions.

use super::family::{Facts, Unlisted, Windows};
use super::keys::{Keys, positive};
use super::rope::{Context, Rope, RopeScaling};
use serde_json::{Value, json};

/// How a layer attends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerKind {
    /// The number of keys that a token sees at most, its own included; none for all earlier ones.
    pub window: Option<usize>,
    /// Which of the network's ropes gives its positions; none for no positions.
    pub rope: Option<usize>,
}

/// What `layer_types` calls a layer with a window, and one without.
const SLIDING: &str = "sliding_attention";
const FULL: &str = "full_attention";

/// The layers that a `config.json` describes.
pub(super) fn layer_kinds(
    keys: &Keys,
    facts: &Facts,
    num_layers: usize,
    max_positions: usize,
) -> Result<Vec<LayerKind>, String> {
    let rotated = rotated_layers(keys, facts, num_layers)?;
    let window = window(keys, facts)?;
    let sliding = sliding_layers(keys, facts, window.is_some(), &rotated)?;
    // A window that no text can outgrow changes nothing.
    let window = window.filter(|window| *window < max_positions);
    let kind = |(sliding, rotated): (&bool, &bool)| LayerKind {
        window: window.filter(|_| *sliding),
        rope: rotated.then_some(usize::from(*sliding && facts.local_rope.is_some())),
    };
    Ok(sliding.iter().zip(&rotated).map(kind).collect())
}

/// The window of the layers that have one. Unlike an absent key, null means none.
fn window(keys: &Keys, facts: &Facts) -> Result<Option<usize>, String> {
    let in_use = match facts.windows {
        Windows::Never => false,
        Windows::All | Windows::Listed { on_request: false, .. } => true,
        Windows::Listed { on_request: true, .. } => keys.flag("use_sliding_window")?,
    };
    match keys.0.get("sliding_window") {
        _ if !in_use => Ok(None),
        Some(Value::Null) => Ok(None),
        _ => Ok(keys.optional_size("sliding_window")?.or(facts.window)),
    }
}

/// Whether each layer is one of those with a window.
fn sliding_layers(keys: &Keys, facts: &Facts, has_window: bool, rotated: &[bool]) -> Result<Vec<bool>, String> {
    let count = rotated.len();
    let listed = listed_layers(keys, count)?;
    let unlisted = match (facts.windows, listed) {
        (Windows::Never, Some(listed)) if listed.contains(&true) => {
            return Err(format!("`layer_types`: `{SLIDING}` is not supported for {}", facts.model_type));
        }
        (Windows::Never, _) => return Ok(vec![false; count]),
        (Windows::All, _) => return Ok(vec![has_window; count]),
        (Windows::Listed { .. }, Some(listed)) => return Ok(listed),
        (Windows::Listed { unlisted, .. }, None) => unlisted,
    };
    let layers = 0..count;
    Ok(match unlisted {
        Unlisted::All => vec![has_window; count],
        Unlisted::FromMaxWindowLayers => {
            let first = keys.get("max_window_layers").and_then(Value::as_u64).unwrap_or(28) as usize;
            layers.map(|i| has_window && i >= first).collect()
        }
        Unlisted::AllButEvery(n) => {
            let n = keys.optional_size("sliding_window_pattern")?.unwrap_or(n);
            layers.map(|i| !(i + 1).is_multiple_of(n)).collect()
        }
        Unlisted::Unrotated => rotated.iter().map(|rotated| has_window && !rotated).collect(),
    })
}

/// Whether `layer_types` gives each layer a window.
fn listed_layers(keys: &Keys, count: usize) -> Result<Option<Vec<bool>>, String> {
    let Some(value) = keys.get("layer_types") else { return Ok(None) };
    let list = value.as_array().ok_or_else(|| format!("key `layer_types` must be a list, found {value}"))?;
    if list.len() < count {
        return Err(format!("key `layer_types` holds {} layers, num_hidden_layers is {count}", list.len()));
    }
    let sliding = |kind: &Value| match kind.as_str() {
        Some(SLIDING) => Ok(true),
        Some(FULL) => Ok(false),
        _ => Err(format!("key `layer_types` holds {kind}, which is not supported (supported: {FULL}, {SLIDING})")),
    };
    list.iter().take(count).map(sliding).collect::<Result<_, _>>().map(Some)
}

/// Whether each layer has rotary positions: `no_rope_layers` holds 1 where it has.
fn rotated_layers(keys: &Keys, facts: &Facts, count: usize) -> Result<Vec<bool>, String> {
    let Some(every) = facts.unrotated_every else { return Ok(vec![true; count]) };
    let every = keys.optional_size("no_rope_layer_interval")?.unwrap_or(every);
    let Some(value) = keys.get("no_rope_layers") else {
        return Ok((0..count).map(|i| !(i + 1).is_multiple_of(every)).collect());
    };
    let wrong = || format!("key `no_rope_layers` must be a list of {count} zeros and ones, found {value}");
    let list = value.as_array().filter(|list| list.len() >= count).ok_or_else(wrong)?;
    list.iter().take(count).map(|rotated| rotated.as_u64().map(|r| r != 0).ok_or_else(wrong)).collect()
}

/// The ropes of a network: that of most layers, and where the family has one, that of layers with a window.
pub(super) fn ropes(keys: &Keys, facts: &Facts, head_size: usize, max_positions: usize) -> Result<Vec<Rope>, String> {
    // As in transformers 5, `rope_scaling` goes first: people add it to a file, as models' cards say.
    let given = ["rope_scaling", "rope_parameters"].map(|key| keys.get(key));
    let is_nested = |rope: &Value| [FULL, SLIDING].iter().any(|kind| rope.get(kind).is_some_and(Value::is_object));
    let of_full = given.map(|rope| rope.and_then(|rope| if is_nested(rope) { rope.get(FULL) } else { Some(rope) }));
    let of_sliding = given.map(|rope| rope.filter(|rope| is_nested(rope)).and_then(|rope| rope.get(SLIDING)));
    let read = |given: [Option<&Value>; 2], key: &str, default: f64| -> Result<Rope, String> {
        let given: Vec<&Value> = given.into_iter().flatten().collect();
        let find = |key: &str| given.iter().find_map(|rope| rope.get(key));
        let theta = match find("rope_theta").or(keys.get(key)) {
            None => default,
            Some(value) => positive("rope_theta", value)?,
        };
        let rotated = rotated_part(find(PARTIAL).or(keys.get(PARTIAL)), facts, head_size)?;
        let original_positions = keys.positive("original_max_position_embeddings")?.or(facts.original_positions);
        let yarn_is_longrope = facts.yarn_is_longrope;
        let context = Context { max_positions: max_positions as f64, original_positions, rotated, yarn_is_longrope };
        let scaling = given.first().map_or(Ok(None), |rope| RopeScaling::from_json(rope, &context))?;
        Ok(Rope { theta, rotated, scaling })
    };
    let mut ropes = vec![read(of_full, "rope_theta", facts.rope_theta)?];
    if let Some(local) = facts.local_rope {
        ropes.push(read(of_sliding, local.key, local.default)?);
    }
    Ok(ropes)
}

const PARTIAL: &str = "partial_rotary_factor";

/// Values of a head that are rotated.
fn rotated_part(share: Option<&Value>, facts: &Facts, head_size: usize) -> Result<usize, String> {
    let Some(value) = share else { return Ok(head_size) };
    let factor = value.as_f64().unwrap_or(0.0);
    if factor != 1.0 && !facts.partial_rotary {
        return Err(format!("{PARTIAL} {value} is not supported for {} (supported: 1)", facts.model_type));
    }
    let rotated = (head_size as f64 * factor) as usize;
    if !(factor <= 1.0 && rotated > 0 && rotated.is_multiple_of(2)) {
        return Err(format!(
            "{PARTIAL} {value} of a head of {head_size} numbers makes {rotated}, expected an even number of them"
        ));
    }
    Ok(rotated)
}

/// `rope_parameters` as transformers 5 has it. `partial`: the share of a head that is rotated, where it is not all.
pub(super) fn ropes_to_json(ropes: &[Rope], partial: Option<f64>) -> Value {
    let object = |rope: &Rope| {
        let mut object = rope.scaling.as_ref().map_or_else(|| json!({"rope_type": "default"}), RopeScaling::to_json);
        object["rope_theta"] = json!(rope.theta);
        if let Some(partial) = partial {
            object["partial_rotary_factor"] = json!(partial);
        }
        object
    };
    match ropes {
        [full, sliding] => json!({FULL: object(full), SLIDING: object(sliding)}),
        _ => object(&ropes[0]),
    }
}
