package ai.onnxruntime.genai;

import org.json.JSONException;
import org.json.JSONObject;

public class Tokenizer implements AutoCloseable {
    private final Model model;

    public Tokenizer(Model model) throws GenAIException {
        this.model = model;
    }

    public String applyChatTemplate(String templateStr, String messages, String tools, boolean addGenerationPrompt)
            throws GenAIException {
        try {
            JSONObject given = new JSONObject().put("template", templateStr).put("messages", messages);
            given.put("tools", tools == null ? JSONObject.NULL : tools).put("answers", addGenerationPrompt);
            return model.ask("genai.chat", given).getString("text");
        } catch (JSONException error) {
            throw new IllegalStateException(error);
        }
    }

    @Override
    public void close() {}
}
