package edgepack.edgepack_model

import org.json.JSONObject

/** The prompts that a model was trained to find in front of texts; [text] is the record of that name in edgepack.json. */
internal class Prompts(private val text: JSONObject) {
    /** The prompts by name. */
    val byName: Map<String, String> = text.optJSONObject("prompts")?.let { all ->
        all.keys().asSequence().associateWith { all.getString(it) }
    } ?: emptyMap()

    private val usual: String = text.optString("default_prompt").let { name ->
        if (text.isNull("default_prompt")) "" else byName[name] ?: damaged("edgepack.json has no prompt $name")
    }

    /** The prompt of that [name], the text [own], or the model's choice; throws [ModelException], INPUT. */
    fun chosen(name: String? = null, own: String? = null): String {
        if (name != null && own != null) refused("a prompt is given by its name or as a text, not both")
        if (!own.isNullOrEmpty() && !text.optBoolean("include_prompt", true)) {
            refused("this model leaves prompts out of its vectors, which the bundle cannot do")
        }
        if (name != null) return byName[name] ?: refused("the model has no prompt $name, but ${byName.keys}")
        return own ?: usual
    }
}
